"""Time layers, as tools of an object tree and around a bare WSGI function, beside their peers.

``python tests/benchmarks/layers.py`` prints for each case the best and the median time of a
request and its ratio to ours; ``--quick`` is for a look, and words pick cases by their names.
Each contender has a process of its own, and the processes take turns.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from http.cookies import SimpleCookie
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from in_process import environ, serve

ROUNDS, QUICK_ROUNDS = 30, 6
BATCH_SECONDS, QUICK_BATCH_SECONDS = 0.02, 0.005

PAGE = b"".join(b"<p>Row %d of %d: %x</p>\n" % (i, i * 7, i * i * 2654435761) for i in range(550))
PAGE = PAGE[:20_000]
"""What is compressed: text with some variety."""

Call = Callable[[], Any]


# -- what is served ----------------------------------------------------------------------------


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The WSGI application that layers are put around."""
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "12")])
    return [b"Hello World!"]


def page(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]


def request(app: Any, status: str = "200 OK", path: str = "/", **fields: str) -> Call:
    """One request to an application; what it answers is looked at once, before."""
    given = environ(path, "") | fields
    found = serve(app, given)
    if found[0] != status:
        raise SystemExit(f"{path} is answered with {found[0]}, not {status}: {found[1][:200]!r}")
    return lambda: serve(app, given)


def with_cookie(app: Any) -> Call:
    """Requests of one session, whose cookie the first of them gets."""
    cookies: SimpleCookie = SimpleCookie()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        for name, value in headers:
            if name.lower() == "set-cookie":
                cookies.load(value)

    body = app(environ("/", ""), start_response)
    b"".join(body)
    getattr(body, "close", lambda: None)()
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    return request(app, HTTP_COOKIE=cookie)


def tree(toolkit: Any, root: Any, **tools: dict[str, Any]) -> Any:
    """An application of CherryPy's or ours with tools on."""
    import logging

    toolkit.config.update({"log.screen": False})
    logging.getLogger("cherrypy.access").handlers.clear()
    config: dict[str, Any] = {}
    for name, options in tools.items():
        config[f"tools.{name}.on"] = True
        config |= {f"tools.{name}.{option}": value for option, value in options.items()}
    return toolkit.Application(root, "", {"/": config})


def toolkit_of(name: str) -> Any:
    return __import__(name)


def root_of(toolkit: Any, answer: Callable[[], Any]) -> Any:
    class Root:
        @toolkit.expose
        def index(self) -> Any:
            return answer()

    return Root()


# -- the cases ---------------------------------------------------------------------------------


def header_layers(count: int) -> Call:
    from cptoolkit.middleware.response_headers import ResponseHeaders

    app: Any = bare
    for number in range(count):
        app = ResponseHeaders(app, headers=[(f"X-Field-{number}", "value")])
    return request(app)


def appending() -> Call:
    """A layer of one's own, as short as it can be."""
    from cptoolkit.middleware.layer import Layer

    class Appending(Layer):
        def after(self, request: Any, response: Any) -> None:
            response.headerlist.append(("X-Field", "value"))

    return request(Appending(bare))


def putting_a_default() -> Call:
    from cptoolkit.middleware.fields import put_default
    from cptoolkit.middleware.layer import Layer

    class Putting(Layer):
        def after(self, request: Any, response: Any) -> None:
            put_default(response.headerlist, "X-Field", "value")

    return request(Putting(bare))


def counting(toolkit: Any) -> Any:
    def count() -> str:
        toolkit.session["count"] = toolkit.session.get("count", 0) + 1
        return str(toolkit.session["count"])

    return tree(toolkit, root_of(toolkit, count), sessions={})


def counting_bare(key: str) -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        session = environ[key]
        session["count"] = session.get("count", 0) + 1
        if key == "beaker.session":
            session.save()
        return bare(environ, start_response)

    return app


def our_sessions() -> Call:
    from cptoolkit.middleware.sessions import Sessions

    return with_cookie(Sessions(counting_bare("cptoolkit.session")))


def beaker() -> Call:
    from beaker.middleware import SessionMiddleware

    return with_cookie(SessionMiddleware(counting_bare("beaker.session"), {"type": "memory"}))


def our_file_sessions() -> Call:
    from cptoolkit.middleware.sessions import FileSession, Sessions

    app = counting_bare("cptoolkit.session")
    folder = tempfile.mkdtemp()
    return with_cookie(Sessions(app, storage_class=FileSession, storage_path=folder))


def beaker_files() -> Call:
    from beaker.middleware import SessionMiddleware

    options = {"session.type": "file", "session.data_dir": tempfile.mkdtemp()}
    return with_cookie(SessionMiddleware(counting_bare("beaker.session"), options))


def untouched_session() -> Call:
    from cptoolkit.middleware.sessions import Sessions

    return request(Sessions(bare))


def our_gzip() -> Call:
    from cptoolkit.middleware.compression.compress import Gzip

    return request(Gzip(page), HTTP_ACCEPT_ENCODING="gzip")


def bare_zlib() -> Call:
    def squeeze() -> bytes:
        packer = zlib.compressobj(5, zlib.DEFLATED, 31)
        return packer.compress(PAGE) + packer.flush()

    return squeeze


def gzip_tool(name: str) -> Call:
    toolkit = toolkit_of(name)
    app = tree(toolkit, root_of(toolkit, lambda: PAGE), gzip={})
    return request(app, HTTP_ACCEPT_ENCODING="gzip")


def static_folder() -> str:
    folder = Path(tempfile.mkdtemp())
    file = folder / "small.css"
    file.write_bytes(b"body { color: black }\n" * 20)
    for path in (file, folder):
        os.utime(path, (1_000_000_000, 1_000_000_000))  # files of a moment ago are not kept
    return str(folder)


def static_tool(name: str) -> Call:
    toolkit = toolkit_of(name)
    app = tree(toolkit, None)
    app.merge({"/static": {"tools.staticdir.on": True, "tools.staticdir.dir": static_folder()}})
    return request(app, path="/static/small.css")


def our_static(scan: bool = False) -> Any:
    from cptoolkit.middleware.files.static import StaticDir

    return StaticDir(bare, dir=static_folder(), section="/static", scan=scan)


def whitenoise(autorefresh: bool) -> Any:
    from whitenoise import WhiteNoise

    return WhiteNoise(bare, static_folder(), "/static", autorefresh=autorefresh)


def shared_data() -> Any:
    from werkzeug.middleware.shared_data import SharedDataMiddleware

    return SharedDataMiddleware(bare, {"/static": static_folder()})


def around_bare(ask: Callable[[Any], Call]) -> dict[str, Callable[[], Call]]:
    return {
        # These look at the disk for each request,
        OURS: lambda: ask(our_static()),
        "WhiteNoise, autorefresh": lambda: ask(whitenoise(True)),
        "SharedDataMiddleware": lambda: ask(shared_data()),
        # and these have read the folder once.
        "cptoolkit, scan": lambda: ask(our_static(scan=True)),
        "WhiteNoise": lambda: ask(whitenoise(False)),
    }


def known(app: Any) -> Call:
    """Requests for a file that the client has already."""
    found: dict[str, str] = {}

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        found.update({name.lower(): value for name, value in headers})

    body = app(environ("/static/small.css", ""), start_response)
    getattr(body, "close", lambda: None)()
    fields = {"HTTP_IF_MODIFIED_SINCE": found["last-modified"]}
    if "etag" in found:
        fields["HTTP_IF_NONE_MATCH"] = found["etag"]
    return request(app, "304 Not Modified", "/static/small.css", **fields)


def basic_tool(name: str) -> Call:
    toolkit = toolkit_of(name)
    options = {"realm": "r", "checkpassword": lambda realm, user, password: password == "secret"}
    app = tree(toolkit, root_of(toolkit, lambda: "Hello World!"), auth_basic=options)
    credentials = base64.b64encode(b"jon:secret").decode()
    return request(app, HTTP_AUTHORIZATION=f"Basic {credentials}")


def etag_tool(name: str) -> Call:
    toolkit = toolkit_of(name)

    def tagged() -> str:
        toolkit.response.headers["ETag"] = '"tag"'
        return "Hello World!"

    app = tree(toolkit, root_of(toolkit, tagged), etags={})
    return request(app, "304 Not Modified", HTTP_IF_NONE_MATCH='"tag"')


def methods(name: str) -> Call:
    toolkit = toolkit_of(name)

    class Resource:
        exposed = True

        def GET(self) -> str:
            return "Hello World!"

    app = tree(toolkit, Resource())
    app.merge({"/": {"request.dispatch": toolkit.dispatch.MethodDispatcher()}})
    return request(app)


def cache_tool(name: str) -> Call:
    toolkit = toolkit_of(name)
    app = tree(toolkit, root_of(toolkit, lambda: "Hello World!"), caching={})
    return request(app)


FORWARDED = {
    "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "example.com",
}


def our_proxy() -> Call:
    from cptoolkit.middleware.forwarding.proxy import Proxy

    return request(Proxy(bare), **FORWARDED)


def proxy_fix() -> Call:
    from werkzeug.middleware.proxy_fix import ProxyFix

    return request(ProxyFix(bare, x_host=1), **FORWARDED)


OURS, CHERRYPY = "cptoolkit", "CherryPy"


def as_tool(make: Callable[[str], Call]) -> dict[str, Callable[[], Call]]:
    return {OURS: lambda: make("cptoolkit"), CHERRYPY: lambda: make("cherrypy")}


CASES: dict[str, dict[str, Callable[[], Call]]] = {
    "layers that set a header": {
        OURS: lambda: header_layers(1),
        "one that appends it": appending,
        "one that puts it if there is none": putting_a_default,
        "no layer": lambda: header_layers(0),
        "ten of them": lambda: header_layers(10),
    },
    "session as tool": as_tool(lambda name: with_cookie(counting(toolkit_of(name)))),
    "session around WSGI": {OURS: our_sessions, "untouched": untouched_session, "Beaker": beaker},
    "session in files around WSGI": {OURS: our_file_sessions, "Beaker": beaker_files},
    "gzip around WSGI": {OURS: our_gzip, "bare zlib": bare_zlib},
    "gzip as tool": as_tool(gzip_tool),
    "small static file as tool": as_tool(static_tool),
    "small static file around WSGI": around_bare(
        lambda app: request(app, path="/static/small.css")
    ),
    "static file, answered with 304": around_bare(known),
    "no such static file": around_bare(lambda app: request(app, path="/static/none.css")),
    "not below the static section": around_bare(request),
    "basic authentication": as_tool(basic_tool),
    "ETag, answered with 304": as_tool(etag_tool),
    "MethodDispatcher": as_tool(methods),
    "found in the cache": as_tool(cache_tool),
    "proxy around WSGI": {OURS: our_proxy, "werkzeug ProxyFix": proxy_fix},
}
"""Contenders by case; each makes in its own process what is timed there."""

NEEDED = {
    "CherryPy": "cherrypy",
    "Beaker": "beaker",
    "WhiteNoise": "whitenoise",
    "WhiteNoise, autorefresh": "whitenoise",
}


# -- timing ------------------------------------------------------------------------------------


def work(case: str, name: str, batch_seconds: float, orders: Any) -> None:
    """A process that times a batch of requests each time that it is told to."""
    call = CASES[case][name]()
    began = time.perf_counter()
    for _ in range(50):
        call()
    count = max(int(batch_seconds / ((time.perf_counter() - began) / 50)), 5)
    orders.send("ready")
    while orders.recv():
        for _ in range(count // 10):  # caches are another's after its turn
            call()
        began = time.perf_counter()
        for _ in range(count):
            call()
        orders.send((time.perf_counter() - began) / count)


def measure(case: str, rounds: int, batch_seconds: float) -> dict[str, list[float]]:
    """Seconds for a request, a figure for each round, by contender."""
    context = multiprocessing.get_context("spawn")
    names = [n for n in CASES[case] if n not in NEEDED or find_spec(NEEDED[n]) is not None]
    workers = {}
    times: dict[str, list[float]] = {name: [] for name in names}
    try:
        for name in names:
            ours, theirs = context.Pipe()
            arguments = (case, name, batch_seconds, theirs)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            workers[name] = (process, ours)
        for name, (_, pipe) in workers.items():
            try:
                pipe.recv()
            except EOFError:
                raise SystemExit(f"{case}: {name} has failed, see above") from None
        for _ in range(rounds):
            for name, (_, pipe) in workers.items():
                pipe.send(True)
                times[name].append(pipe.recv())
        for process, pipe in workers.values():
            pipe.send(False)
            process.join()
    finally:
        for process, _ in workers.values():
            if process.is_alive():
                process.kill()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Time layers beside their peers.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("words", nargs="*", help="only cases with one of these in their names")
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    seconds = QUICK_BATCH_SECONDS if arguments.quick else BATCH_SECONDS
    python = sys.version.split()[0]
    print(f"microseconds for a request, {rounds} interleaved rounds, Python {python}")
    for case in CASES:
        if arguments.words and not any(word in case for word in arguments.words):
            continue
        times = measure(case, rounds, seconds)
        print(f"\n{case:32}{'best':>10}{'median':>10}{'ratio':>9}")
        for name in sorted(times, key=lambda name: min(times[name])):
            best, median = min(times[name]), statistics.median(times[name])
            ratio = best / min(times[OURS])
            print(f"  {name:30}{best * 1e6:10.2f}{median * 1e6:10.2f}{ratio:9.2f}")


if __name__ == "__main__":
    main()
