"""WSGIPipeline: middleware named in config, around an application."""

from threading import Event, Thread

from webob import Response

from cptoolkit.wsgi_pipeline import WSGIPipeline


def test_middleware_is_made_once_though_two_threads_want_it_at_once():
    made = []
    second_is_done = Event()
    threads = []

    def factory(app):
        made.append(app)
        if len(made) == 1:
            threads.append(Thread(target=lambda: (pipeline.compose(), second_is_done.set())))
            threads[0].start()
            assert not second_is_done.wait(0.05)
        return app

    pipeline = WSGIPipeline(Response("x"))
    pipeline.configure("pipeline", [("slow", factory)])
    pipeline.compose()
    threads[0].join()
    assert len(made) == 1
