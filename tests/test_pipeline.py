"""Pipeline: middleware of any kind, in the order in which a request meets it."""

from dataclasses import dataclass

import pytest
from webob import Request, Response
from webtest import TestApp

import cptoolkit
from cptoolkit import Pipeline, use
from cptoolkit.middleware.accept import Accept
from cptoolkit.middleware.layer import Layer


@dataclass(kw_only=True, eq=False)
class Mark(Layer):
    """Writes its letter when a request comes in, and when the response goes out."""

    letter: str = "?"

    def __post_init__(self):
        super().__post_init__()
        if len(self.letter) != 1:
            raise ValueError(f"letter must be one letter, got {self.letter!r}")

    def before(self, request):
        request.environ.setdefault("marks", []).append(self.letter)

    def after(self, request, response):
        response.headerlist.append(("X-Mark", self.letter))


def shout(app, times=1):
    """A middleware that is no layer."""

    def middleware(environ, start_response):
        environ.setdefault("marks", []).append("!" * times)
        return app(environ, start_response)

    return middleware


def marks(environ, start_response):
    return Response("".join(environ.get("marks", "")))(environ, start_response)


def ask(app, path="/"):
    return Request.blank(path).get_response(app)


def test_request_meets_the_middleware_outermost_first():
    pipeline = Pipeline(use(Mark, letter="a"), use(shout, times=2), use(Mark, letter="b"))
    answer = ask(pipeline(marks))
    assert answer.text == "a!!b"
    assert answer.headers.getall("X-Mark") == ["b", "a"]


def test_middleware_may_be_for_one_part_of_the_urls():
    pipeline = Pipeline(
        use(Mark, letter="a"), use(Mark, at="/x", letter="b"), use(shout, at="/x/y", times=1)
    )
    app = pipeline(marks)
    assert [ask(app, path).text for path in ("/", "/x", "/x/y/z")] == ["a", "ab", "ab!"]


def test_pipelines_can_be_put_into_others():
    common = Pipeline(use(Mark, letter="a"), use(Mark, letter="b"))
    whole = Pipeline(use(Mark, letter="x"), common, use(Mark, letter="y"))
    assert ask(whole(marks)).text == "xaby"
    assert len(whole) == len(list(whole)) == 4


def test_one_pipeline_can_go_around_several_applications():
    pipeline = Pipeline(use(Mark, letter="a"))
    assert ask(pipeline(Response("one"))).text == "one"
    assert ask(pipeline(Response("two"))).text == "two"


def test_function_that_wraps_an_application_is_taken_as_it_is():
    assert ask(Pipeline(shout, use(Mark, letter="a"))(marks)).text == "!a"


def test_empty_pipeline_is_the_application():
    assert Pipeline()(marks) is marks


def test_object_tree_can_stand_in_the_middle():
    class Root:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.request.environ["marks"]

    app = Pipeline(use(Mark, letter="a"))(cptoolkit.Application(Root()))
    assert TestApp(app).get("/").text == "a"


def test_positional_arguments_are_the_factorys():
    assert ask(Pipeline(use(shout, 3))(marks)).text == "!!!"


def test_option_may_be_called_factory():
    def app_of(app, factory):
        return factory

    assert use(app_of, factory=marks)(Response("x")) is marks


# -- what is wrong is told at once ------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        pytest.param(
            lambda: use(Mark, leter="a"),
            TypeError,
            "use(Mark, leter='a'): Mark has no option 'leter'; did you mean 'letter'?",
            id="layer",
        ),
        pytest.param(
            lambda: use(shout, time=2),
            TypeError,
            "shout has no option 'time'; did you mean 'times'?",
            id="function",
        ),
        pytest.param(
            lambda: use(Mark, at="admin"), ValueError, "did you mean '/admin'?", id="prefix"
        ),
        pytest.param(
            lambda: use("shout"), TypeError, "expected a class or function", id="no factory"
        ),
        pytest.param(lambda: Pipeline(Mark), TypeError, "expected use(Mark, ...)", id="class"),
        pytest.param(
            lambda: Pipeline(Mark(marks)), TypeError, "expected use(Mark, ...)", id="made already"
        ),
        pytest.param(
            lambda: use(Mark(marks)), TypeError, "a Mark that has been made already", id="use made"
        ),
        pytest.param(lambda: use(Mark, at=5), TypeError, "begins with a slash, got 5", id="at 5"),
        pytest.param(
            lambda: use(lambda app: b"\xff".decode())(marks),
            ValueError,
            "use(<lambda>): 'utf-8' codec can't decode",
            id="an error that is made of more than a text",
        ),
        pytest.param(lambda: Pipeline("x"), TypeError, "a pipeline is made of use(", id="text"),
        pytest.param(
            lambda: Pipeline(use(Mark, letter="ab"))(marks),
            ValueError,
            "use(Mark, letter='ab'): letter must be one letter, got 'ab'",
            id="value",
        ),
        pytest.param(
            lambda: Pipeline(use(lambda app: None))(marks),
            TypeError,
            "expected a WSGI application to come of it, got None",
            id="gives nothing",
        ),
        pytest.param(
            lambda: Pipeline(use(Mark))(None), TypeError, "WSGI application, got None", id="no app"
        ),
        pytest.param(lambda: use(shout, 1, times=2), TypeError, "multiple values for", id="twice"),
    ],
)
def test_mistake_is_told_at_composition(make, error, message):
    with pytest.raises(error) as told:
        make()
    assert message in str(told.value)


# -- repr reads like the code -----------------------------------------------------------------


def test_repr_is_the_code_that_makes_it():
    pipeline = Pipeline(use(Accept, media="text/css"), use(shout, 2, at="/x"))
    assert repr(pipeline) == "Pipeline(use(Accept, media='text/css'), use(shout, 2, at='/x'))"
    short = Pipeline(use(Mark, at="/x", letter="a"), Pipeline(shout))
    assert repr(eval(repr(short))) == repr(short)


def test_long_repr_has_a_line_for_each_part():
    pipeline = Pipeline(Pipeline(*[use(Mark, letter=x) for x in "abcd"]), use(Mark, letter="e"))
    assert repr(pipeline) == (
        "Pipeline(\n"
        "    Pipeline(\n"
        "        use(Mark, letter='a'),\n"
        "        use(Mark, letter='b'),\n"
        "        use(Mark, letter='c'),\n"
        "        use(Mark, letter='d'),\n"
        "    ),\n"
        "    use(Mark, letter='e'),\n"
        ")"
    )
