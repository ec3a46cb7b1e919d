"""What the reader of a page has at hand, and its code blocks do not make themselves."""

from __future__ import annotations

import contextlib
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cptoolkit.servers
from cptoolkit.servers.server import Server


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application of no framework."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"plain"]


def check(realm: str, user: str, password: str) -> bool:
    return False


urlpatterns: list[Any] = []
"""Of a site of Django's without pages."""


_MODULE = """\
import sys

import cptoolkit


class Root:
    @cptoolkit.expose
    def index(self):
        return " ".join([__name__, *sys.argv[1:]])


def create_app():
    return cptoolkit.Application(Root())
"""

_PROGRAM = """\
import cherrypy

from hello import Root

if __name__ == "__main__":
    cherrypy.quickstart(Root())
"""

_CONFIG = "[global]\nserver.thread_pool = 5\n"

FILES = {
    "blog.conf": _CONFIG,
    "blog.py": _MODULE + "\n\ncptoolkit.tree.mount(Root())\n",
    "forum.py": _MODULE + '\n\ncptoolkit.tree.mount(Root(), "/forum")\n',
    "hello.py": _MODULE,
    "its/module.py": _PROGRAM,
    "notes.py": _MODULE.replace("Root", "Notes") + "\n\napp = create_app()\n",
    "program.py": _PROGRAM,
    "shop.conf": _CONFIG,
    "shop/__init__.py": _MODULE,
    "shop/wsgi.py": "from shop import create_app\n\napp = create_app()\n",
    "site.conf": _CONFIG,
}
"""What is in files that a shell block speaks of, and the page does not show."""


def flask_app() -> Any:
    import flask

    return flask.Flask("shop")


def certificates() -> None:
    """The files that a page on HTTPS speaks of, in the current folder."""
    import trustme

    authority = trustme.CA()
    for certificate, key in [
        ("cert.pem", "privkey.pem"),
        ("www.example.org.pem", "www.example.org.pem"),
        ("example.com.pem", "example.com.key"),
        ("wildcard.pem", "wildcard.key"),
    ]:
        made = authority.issue_cert("localhost")
        Path(certificate).write_bytes(made.cert_chain_pems[0].bytes())
        with open(key, "ab") as file:
            file.write(made.private_key_pem.bytes())
    authority.cert_pem.write_to_path("staff.pem")


def serve(app: Any, host: str = "127.0.0.1", port: int = 8080, **options: Any) -> None:
    """In place of the bundled server's: the same on a free port, for one request."""
    options.pop("processes", None)  # forks, and serves no differently
    server = Server(app, "127.0.0.1", 0, **options)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        if server.options.protocol == "http" and not server.options.ssl_certificate:
            connection = HTTPConnection(*server.bound_addr[:2], timeout=30)
            with contextlib.closing(connection):
                connection.request("GET", "/")
                assert connection.getresponse().status < 500
    finally:
        server.stop()
        thread.join()


def names(wanted: list[str]) -> dict[str, Any]:
    """The names that a block is given.

    :raises KeyError: if nothing is known by one of them.
    """
    cptoolkit.servers.serve = serve
    found: dict[str, Any] = {}
    for name in wanted:
        if name == "certificates":
            certificates()
        elif name == "flask app":
            found["app"] = flask_app()
        elif name == "django":
            from django.conf import settings

            settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of tests")
        elif name != "redis":
            known = {"app": app, "check": check, "serve": serve, "cptoolkit": cptoolkit}
            found[name] = known[name]
    return found
