"""RequestID: one id in the answer, the environ and the logs."""

import logging
import os
import re

import pytest
from webob import Response

import cptoolkit
from cptoolkit.middleware.request_id import REQUEST_ID, RequestID, RequestIDFilter, new_id

logger = logging.getLogger("tests.request_id")


def view(request):
    logger.warning("in hand")
    return Response(request.environ[REQUEST_ID])


@pytest.fixture
def lines():
    """The lines of a log whose format has the id."""
    written = []

    class Lines(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    handler = Lines()
    handler.addFilter(RequestIDFilter())
    handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


def test_answer_application_and_log_have_one_id(host, lines):
    site = host(view, RequestID)
    answers = [site.fetch(), site.fetch()]
    ids = [answer.text for answer in answers]
    assert [answer.headers["X-Request-ID"] for answer in answers] == ids
    assert lines == [f"{id} in hand" for id in ids]
    assert ids[0] != ids[1]
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)


def test_id_of_the_client_is_not_taken(host):
    answer = host(view, RequestID).fetch(headers={"X-Request-ID": "mine"})
    assert answer.headers.getall("X-Request-ID") == [answer.text]
    assert answer.text != "mine"


def test_id_of_a_proxy_is_kept_where_it_is_trusted(host):
    site = host(view, RequestID, trust=True, header="X-Trace")
    answer = site.fetch(headers={"X-Trace": "0b/1:c=="})
    assert answer.text == answer.headers["X-Trace"] == "0b/1:c=="


@pytest.mark.parametrize("sent", ["", "a b", "a\tb", '"', "x" * 129, "<script>", "ä", "%0a"])
def test_id_that_could_forge_a_log_line_is_not_kept(alone, sent):
    answer = alone(view, RequestID, trust=True).fetch(headers={"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.text)


def test_id_that_an_outer_layer_has_given_stays(alone):
    site = alone(view, RequestID, around=lambda app: RequestID(app, header="X-Outer"))
    answer = site.fetch()
    assert answer.headers["X-Outer"] == answer.headers["X-Request-ID"] == answer.text


def test_id_may_be_made_by_a_function(alone):
    assert alone(view, RequestID, generate=lambda: "7").fetch().text == "7"


def test_log_has_a_dash_outside_of_requests():
    import contextvars

    record = logging.LogRecord("x", logging.INFO, "x", 1, "x", (), None)
    assert contextvars.Context().run(RequestIDFilter().filter, record)
    assert record.request_id == "-"


def test_ids_differ_after_a_fork():
    new_id()  # so that some are ready
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reader) as end:
        os.close(writer)
        assert end.read() not in [new_id() for _ in range(100)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"header": "X ID"}, ValueError, "header must be the name of a header field, got 'X ID'"),
        ({"generate": "uuid4"}, TypeError, "generate must be a function, got 'uuid4'"),
    ],
)
def test_wrong_option_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        RequestID(None, **options)


# In an Application


class Root:
    _cp_config = {"tools.request_id.on": True}

    @cptoolkit.expose
    def index(self):
        return f"{cptoolkit.request.unique_id} {cptoolkit.serving.request_id}"

    @cptoolkit.expose
    def fails(self):
        raise ValueError


def test_id_is_the_unique_id_of_the_request(app_of):
    answer = app_of(Root()).get("/")
    assert answer.text.split() == [answer.headers["X-Request-ID"]] * 2


def test_access_log_can_show_it(app_of, caplog):
    client = app_of(Root(), {"/": {"log.access_log_format": "{i} {r}"}})
    caplog.set_level(logging.INFO)
    answer = client.get("/")
    lines = [record.getMessage() for record in caplog.records if ".access" in record.name]
    assert lines == [answer.headers["X-Request-ID"] + " GET / HTTP/1.0"]


@pytest.mark.parametrize(("path", "status"), [("/fails", 500), ("/nowhere", 404)])
def test_error_pages_have_it(app_of, path, status):
    answer = app_of(Root()).get(path, status=status)
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_request_that_was_refused_before_has_one_too(app_of):
    def refuse():
        raise cptoolkit.HTTPError(403)

    cptoolkit.tools.refuse = cptoolkit.Tool("on_start_resource", refuse, priority=-1)
    answer = app_of(Root(), {"/": {"tools.refuse.on": True}}).get("/", status=403)
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
