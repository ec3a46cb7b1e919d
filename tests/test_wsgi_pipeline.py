"""WSGIPipeline: middleware named in config, around an application."""

from threading import Event

from beside import PATIENCE, in_threads
from webob import Response

from cptoolkit.wsgi_pipeline import WSGIPipeline


def test_middleware_is_made_once_though_two_threads_want_it_at_once():
    made = []
    first_is_inside, second_is_done = Event(), Event()

    def factory(app):
        made.append(app)
        first_is_inside.set()
        assert not second_is_done.wait(0.05)
        return app

    def second():
        assert first_is_inside.wait(PATIENCE)
        pipeline.compose()
        second_is_done.set()

    pipeline = WSGIPipeline(Response("x"))
    pipeline.configure("pipeline", [("slow", factory)])
    with in_threads(second):
        pipeline.compose()
    assert len(made) == 1
