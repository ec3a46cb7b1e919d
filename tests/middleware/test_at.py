"""At: what stands around an application is limited to one part of its URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob import Request, Response

from cptoolkit.middleware.at import At, resolved
from cptoolkit.middleware.layer import Layer


def text(body):
    return Response(body, content_type="text/plain")


def ask(app, path):
    request = Request.blank("/")
    request.environ["PATH_INFO"] = path
    return request.get_response(app).text


@pytest.fixture
def app():
    return At(text("rest"), prefix="/admin", below=text("guarded"))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        pytest.param("/admin", "guarded", id="the path itself"),
        pytest.param("/admin/", "guarded", id="with a slash"),
        pytest.param("/admin/users/1", "guarded", id="below it"),
        pytest.param("//admin/users", "guarded", id="an empty segment before"),
        pytest.param("/./admin", "guarded", id="a dot segment before"),
        pytest.param("/x/../admin/users", "guarded", id="reached through .."),
        pytest.param("/../admin", "guarded", id=".. above the root"),
        pytest.param("/admin/../public", "guarded", id="passing through"),
        pytest.param("/administration", "rest", id="longer name"),
        pytest.param("/Admin", "rest", id="other case"),
        pytest.param("/public/admin", "rest", id="deeper"),
        pytest.param("/", "rest", id="root"),
        pytest.param("", "rest", id="no path"),
        pytest.param("/.hidden", "rest", id="dot file"),
    ],
)
def test_requests_at_and_below_the_prefix_go_there(app, path, answer):
    assert ask(app, path) == answer


def test_slash_at_the_end_of_the_prefix_does_not_count():
    app = At(text("rest"), prefix="/admin/", below=text("guarded"))
    assert ask(app, "/admin") == ask(app, "/admin/x") == "guarded"


def test_prefix_may_be_beyond_ascii():
    app = At(text("rest"), prefix="/käse", below=text("guarded"))
    assert ask(app, "/käse/x".encode().decode("latin-1")) == "guarded"


def test_path_that_the_application_sees_stays_whole():
    app = At(text("rest"), prefix="/a", below=lambda e, s: text(e["PATH_INFO"])(e, s))
    assert ask(app, "/a/b") == "/a/b"


def test_layers_meet_as_objects():
    seen = []

    class Noting(Layer):
        def respond(self, request):
            seen.append(request)
            return super().respond(request)

    inner = Noting(text("rest"))
    outer = Noting(At(inner, prefix="/a", below=Noting(inner)))
    Request.blank("/a").get_response(outer)
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        pytest.param(
            "admin", "must begin with a slash, got 'admin'; did you mean '/admin'?", id="bare"
        ),
        pytest.param("", "must begin with a slash, got ''", id="empty"),
        pytest.param(
            "/a//b",
            "must be in its shortest form, got '/a//b'; did you mean '/a/b'?",
            id="empty part",
        ),
        pytest.param("/a/../b", "did you mean '/b'?", id="dots"),
    ],
)
def test_wrong_prefix_is_refused(prefix, message):
    with pytest.raises(ValueError, match="URL prefix must ") as refusal:
        At(text(""), prefix=prefix, below=text(""))
    assert message in str(refusal.value)


def test_application_for_the_path_is_needed():
    with pytest.raises(TypeError, match="below must be a WSGI application, got None"):
        At(text(""), prefix="/a")


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b.", ".c"])))
def test_resolved_path_is_in_its_shortest_form(segments):
    path = resolved("/" + "/".join(segments))
    assert resolved(path) == path
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path.strip("/").split("/")) or path == "/"
