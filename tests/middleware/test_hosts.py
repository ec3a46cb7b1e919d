"""What the tests of layers stand on: the same page in every framework."""

from dataclasses import dataclass

from webob import Request, Response

from cptoolkit.middleware import fields
from cptoolkit.middleware.layer import Layer


@dataclass(kw_only=True, eq=False)
class Marked(Layer):
    """Leaves a mark in environ and on the response."""

    mark: str = "x"

    def before(self, request):
        request.environ["tests.mark"] = self.mark

    def after(self, request, response):
        fields.put(response.headerlist, "X-Mark", self.mark)


def test_page_sees_the_request_and_its_answer_comes_through(host):
    def view(request):
        text = f"{request.method} {request.path_info} {request.body_file.read(3)}"
        answer = Response(
            f"{text} {request.environ['tests.mark']}", "404 Gone Fishing", content_type="text/css"
        )
        answer.headers.add("Set-Cookie", "a=1; Path=/")
        answer.headers.add("Set-Cookie", "b=2; Path=/")
        return answer

    answer = host(view, Marked, mark="here").fetch("/some/where", "POST", body=b"abc")
    assert answer.body == b"POST /some/where b'abc' here"
    assert answer.status == "404 Gone Fishing"
    assert answer.headers["Content-Type"].startswith("text/css")
    assert answer.headers["X-Mark"] == "here"
    assert [value.strip()[:3] for value in answer.headers.getall("Set-Cookie")] == ["a=1", "b=2"]


def test_body_that_is_no_list_is_streamed(host):
    drawn = []

    def ticks():
        for tick in (b"one", b"two"):
            drawn.append(tick)
            yield tick

    site = host(lambda request: Response(app_iter=ticks()), Marked)
    _, _, body = Request.blank("/").call_application(site.app)
    assert next(iter(body)) == b"one"
    assert drawn == [b"one"]
    body.close()
