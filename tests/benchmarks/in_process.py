"""Time one request through several frameworks, without a server.

``python tests/benchmarks/in_process.py`` prints the best and the median time of each framework
that is installed, and its ratio to ours. ``--quick`` takes a few seconds and is good for a look.

Each framework has a process of its own, so that none sees another's logging or patches. The
processes take turns, a batch at a time, so that whatever else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

CASES = {
    "hello world": ("/", "", b"Hello World!"),
    "two query parameters": ("/query", "a=1&b=2", b"12"),
    "three positional arguments": ("/args/x/y/z", "", b"x/y/z"),
    "five levels deep": ("/a/b/c/d/e/", "", b"deep"),
}
"""What is asked for: path, query string, and the answer that is right."""

ROUNDS, QUICK_ROUNDS = 40, 8
BATCH_SECONDS, QUICK_BATCH_SECONDS = 0.02, 0.005  # of one framework, until it is another's turn


def raw() -> Any:
    """No framework: a WSGI function, what is left when all else is free."""
    answers = {path: answer for path, _, answer in CASES.values()}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = answers[environ["PATH_INFO"]]
        start_response(
            "200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return app


def object_tree(toolkit: Any) -> Any:
    """The same application for CherryPy and for us."""

    class Leaf:
        @toolkit.expose
        def index(self) -> str:
            return "deep"

    class Root:
        @toolkit.expose
        def index(self) -> str:
            return "Hello World!"

        @toolkit.expose
        def query(self, a: str, b: str) -> str:
            return a + b

        @toolkit.expose
        def args(self, *args: str) -> str:
            return "/".join(args)

    root: Any = Root()
    node = root
    for name in "abcde":
        setattr(node, name, Leaf())
        node = getattr(node, name)
    toolkit.config.update({"log.screen": False})
    return toolkit.Application(root, "")


def cptoolkit() -> Any:
    import cptoolkit

    return object_tree(cptoolkit)


def cherrypy() -> Any:
    import cherrypy

    app = object_tree(cherrypy)
    logging.getLogger("cherrypy.access").handlers.clear()
    return app


def bottle() -> Any:
    import bottle

    app = bottle.Bottle()
    app.route("/")(lambda: "Hello World!")
    app.route("/query")(lambda: bottle.request.query.a + bottle.request.query.b)
    app.route("/args/<a>/<b>/<c>")(lambda a, b, c: f"{a}/{b}/{c}")
    app.route("/a/b/c/d/e/")(lambda: "deep")
    return app


def falcon() -> Any:
    import falcon

    class Resource:
        def __init__(self, answer: Callable[..., str]) -> None:
            self.answer = answer

        def on_get(self, request: Any, response: Any, **segments: str) -> None:
            response.content_type = falcon.MEDIA_HTML
            response.text = self.answer(request, **segments)

    app = falcon.App()
    app.add_route("/", Resource(lambda request: "Hello World!"))
    app.add_route("/query", Resource(lambda r: r.get_param("a") + r.get_param("b")))
    app.add_route("/args/{a}/{b}/{c}", Resource(lambda r, a, b, c: f"{a}/{b}/{c}"))
    app.add_route("/a/b/c/d/e/", Resource(lambda request: "deep"))
    return app


def flask() -> Any:
    import flask

    app = flask.Flask(__name__)
    app.add_url_rule("/", "hello", lambda: "Hello World!")
    app.add_url_rule("/query", "query", lambda: flask.request.args["a"] + flask.request.args["b"])
    app.add_url_rule("/args/<a>/<b>/<c>", "args", lambda a, b, c: f"{a}/{b}/{c}")
    app.add_url_rule("/a/b/c/d/e/", "deep", lambda: "deep")
    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    views: dict[str, Callable[[Any], str]] = {
        "/": lambda request: "Hello World!",
        "/query": lambda request: request.GET["a"] + request.GET["b"],
        "/args/{a}/{b}/{c}": lambda request: "/".join(request.matchdict[name] for name in "abc"),
        "/a/b/c/d/e/": lambda request: "deep",
    }

    def page(view: Callable[[Any], str]) -> Callable[[Any], Any]:
        return lambda request: Response(view(request))

    with Configurator() as config:
        for path, view in views.items():
            config.add_route(path, path)
            config.add_view(page(view), route_name=path)
        return config.make_wsgi_app()


FRAMEWORKS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "cptoolkit": (cptoolkit, "cptoolkit"),
    "raw WSGI": (raw, None),
    "Bottle": (bottle, "bottle"),
    "Falcon": (falcon, "falcon"),
    "Flask": (flask, "Flask"),
    "Pyramid": (pyramid, "pyramid"),
    "CherryPy": (cherrypy, "CherryPy"),
}
"""What makes the application of each, and the distribution that has to be installed."""


def environ(path: str, query: str) -> dict[str, Any]:
    """A GET request as a server would hand it over."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "benchmark",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def serve(app: Any, request: dict[str, Any]) -> tuple[str, bytes]:
    """One request, as a server would make it: the body is read, and closed."""
    statuses = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        statuses.append(status)

    body = app(request.copy(), start_response)
    try:
        return statuses[0], b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def work(name: str, batch_seconds: float, orders: Any) -> None:
    """A process that times a batch of requests for each case that it is sent."""
    app = FRAMEWORKS[name][0]()
    sizes = {}
    for case, (path, query, answer) in CASES.items():
        request = environ(path, query)
        found = serve(app, request)
        if found != ("200 OK", answer):
            raise SystemExit(f"{name} answers {case} with {found}, not {answer!r}")
        began = time.perf_counter()
        for _ in range(20):
            serve(app, request)
        each = (time.perf_counter() - began) / 20
        sizes[case] = max(int(batch_seconds / each), 5)
    orders.send("ready")
    while (case := orders.recv()) is not None:
        path, query, _ = CASES[case]
        request = environ(path, query)
        count = sizes[case]
        for _ in range(count // 10):  # caches are another's after its turn
            serve(app, request)
        began = time.perf_counter()
        for _ in range(count):
            serve(app, request)
        orders.send((time.perf_counter() - began) / count)


def measure(names: list[str], rounds: int, batch: float) -> dict[tuple[str, str], list[float]]:
    """Seconds for a request, a figure for each round, by framework and case."""
    context = multiprocessing.get_context("spawn")
    times: dict[tuple[str, str], list[float]] = {}
    workers = {}
    try:
        for name in names:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(name, batch, theirs), daemon=True)
            process.start()
            theirs.close()
            workers[name] = (process, ours)
        for name, (_, pipe) in workers.items():
            try:
                pipe.recv()
            except EOFError:
                raise SystemExit(f"{name} has failed, see above") from None
        for case in CASES:
            for _ in range(rounds):
                for name, (_, pipe) in workers.items():
                    pipe.send(case)
                    times.setdefault((name, case), []).append(pipe.recv())
        for process, pipe in workers.values():
            pipe.send(None)
            process.join()
    finally:
        for process, _ in workers.values():
            if process.is_alive():
                process.kill()
    return times


def installed() -> list[str]:
    """The frameworks that can take part, ours first."""
    distributions = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    return [
        name
        for name, (_, distribution) in FRAMEWORKS.items()
        if distribution is None or distribution.lower() in distributions
    ]


def report(times: dict[tuple[str, str], list[float]], names: list[str]) -> str:
    """The table: microseconds for a request, and the ratio of the best times to ours."""
    lines = []
    for case in CASES:
        best = {name: min(times[name, case]) for name in names}
        lines += ["", f"{case:28}{'best':>10}{'median':>10}{'ratio':>9}"]
        for name in sorted(names, key=best.__getitem__):
            median = statistics.median(times[name, case])
            ratio = best[name] / best["cptoolkit"]
            lines.append(f"  {name:26}{best[name] * 1e6:10.2f}{median * 1e6:10.2f}{ratio:9.2f}")
    return "\n".join(lines[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one request through several frameworks.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    names = installed()
    if "cptoolkit" not in names:
        raise SystemExit("cptoolkit has to be installed: pip install -e .")
    rounds = QUICK_ROUNDS if quick else ROUNDS
    times = measure(names, rounds, QUICK_BATCH_SECONDS if quick else BATCH_SECONDS)
    print(
        f"microseconds for a request, {rounds} interleaved rounds, Python {sys.version.split()[0]}"
    )
    print(report(times, names))


if __name__ == "__main__":
    main()
