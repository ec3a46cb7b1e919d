"""4.1, 4.2, 4.4.1, 5.6, 5.8 and 5.9: applications, and what serves them, started as listed."""

import re
import signal

import pytest

import cptoolkit as cherrypy

HELLO = """
class Root:
    @cherrypy.expose
    def index(self):
        return "Hello World!"
"""

BLOG = """
class Blog:
    @cherrypy.expose
    def index(self):
        return "blog " * 100

class Forum:
    @cherrypy.expose
    def index(self):
        return "forum"
"""


def test_one_minute_application(script):
    """4.1, and the last page of the reference: nine lines serve a page."""
    program = script(HELLO + "if __name__ == '__main__':\n    cherrypy.quickstart(Root(), '/')")
    answer = program.serving().get("/")
    assert (answer.status, answer.text) == (200, "Hello World!")
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert answer.headers["Content-Length"] == "12"
    assert program.get("/nope").status == 404
    assert program.stop() == 0


def test_quickstart_mounts_at_the_root(script):
    """4.2.1."""
    program = script(BLOG + "cherrypy.quickstart(Blog())").serving()
    assert program.get("/").text.startswith("blog")
    assert program.get("/blog").status == 404


@pytest.mark.parametrize(
    ("config", "coding"),
    [("", None), (", {'/': {'tools.gzip.on': True}}", "gzip")],
    ids=["without config", "with gzip"],
)
def test_quickstart_mounts_at_a_path_with_config_relative_to_it(script, config, coding):
    """4.2.1."""
    program = script(BLOG + f"cherrypy.quickstart(Blog(), '/blog'{config})").serving()
    moved = program.get("/blog")
    assert (moved.status, moved.headers["Location"]) == (
        301,
        f"http://127.0.0.1:{program.port}/blog/",
    )
    answer = program.get("/blog/", Accept_Encoding="gzip")
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, coding)
    assert program.get("/").status == 404


def test_several_applications_are_mounted_and_the_engine_started(script):
    """4.2.2 and 5.6: nobody listens to signals unless told, so SIGTERM kills."""
    program = script(
        BLOG
        + """
blog_conf = {"/": {"tools.gzip.on": True}}
forum_conf = {"/": {"tools.response_headers.on": True,
                    "tools.response_headers.headers": [("X-Forum", "yes")]}}
cherrypy.tree.mount(Blog(), "/blog", blog_conf)
cherrypy.tree.mount(Forum(), "/forum", forum_conf)

cherrypy.engine.start()
cherrypy.engine.block()
"""
    ).serving()
    blog = program.get("/blog/", Accept_Encoding="gzip")
    forum = program.get("/forum/", Accept_Encoding="gzip")
    assert (blog.headers["Content-Encoding"], blog.headers["X-Forum"]) == ("gzip", None)
    assert (forum.headers["Content-Encoding"], forum.headers["X-Forum"]) == (None, "yes")
    assert program.get("/").status == 404
    assert not any("Listening for" in line for line in program.output)
    assert program.stop() == -signal.SIGTERM


def test_mount_and_quickstart_are_not_exclusive(script):
    """4.2.2."""
    program = script(
        BLOG + "cherrypy.tree.mount(Blog(), '/blog')\ncherrypy.quickstart(Forum(), '/forum')"
    ).serving()
    assert program.get("/blog/").text.startswith("blog")
    assert program.get("/forum/").text == "forum"
    assert program.stop() == 0


def test_signals_are_listened_for_when_asked(script):
    """5.6: ``engine.signals`` is the plugin; names come from the package."""
    program = script(
        HELLO
        + """
from cptoolkit import engine, tree

assert engine.signals is engine.signal_handler
tree.mount(Root())
engine.signals.subscribe()
engine.start()
engine.block()
"""
    ).serving()
    heard = [line for line in program.output if "Listening for SIG" in line]
    assert sorted(line.rpartition(" ")[2] for line in heard) == ["SIGHUP.", "SIGTERM.", "SIGUSR1."]
    assert program.stop() == 0


@pytest.mark.parametrize("by", ["dict", "file"])
def test_port_of_the_server_is_set_by_config(script, free_port, tmp_path, by):
    """4.4.1: in a dict, or in the section ``[global]`` of a file."""
    (tmp_path / "server.conf").write_text(f"[global]\nserver.socket_port: {free_port}\n")
    source = {"dict": f"{{'server.socket_port': {free_port}}}", "file": "'server.conf'"}[by]
    program = script(
        HELLO + f"cherrypy.config.update({source})\ncherrypy.quickstart(Root())"
    ).serving()
    assert program.port == free_port
    assert program.get("/").text == "Hello World!"


def test_server_is_subscribed_for_another_port(script):
    """5.8: it follows the life of the engine."""
    program = script(
        """
from cptoolkit._cpserver import Server

class Root:
    @cherrypy.expose
    def index(self):
        return cherrypy.request.base

server = Server()
server.socket_port = 0
server.subscribe()
cherrypy.quickstart(Root())
"""
    ).serving()
    served = re.findall(r"Serving on http://127\.0\.0\.1:(\d+)", "\n".join(program.output))
    assert len(set(served)) == 2
    for port in served:
        assert program.get("/", port=int(port)).text == f"http://127.0.0.1:{port}"
    assert program.stop() == 0


class Letters:
    @cherrypy.expose
    def index(self):
        return "abcdefgh"


def test_application_is_a_wsgi_callable(app_of):
    """5.9.1."""
    wsgiapp = cherrypy.Application(Letters(), "/", config={"/": {}})
    assert wsgiapp.script_name == ""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "localhost"}
    environ |= {"SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http"}
    told = []
    body = wsgiapp(environ, lambda status, fields, exc_info=None: told.append(status))
    assert (told, b"".join(body)) == (["200 OK"], b"abcdefgh")
    assert app_of(wsgiapp).get("/").text == "abcdefgh"  # with both sides linted


GRAFTED = """
def raw_wsgi_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{item}]

cherrypy.tree.graft(raw_wsgi_app, "/")
cherrypy.engine.signals.subscribe()
cherrypy.engine.start()
cherrypy.engine.block()
"""


def test_foreign_wsgi_application_is_grafted(script):
    """5.9.2."""
    program = script(GRAFTED.format(item="b'Hello world!'")).serving()
    for path in ("/", "/any/path"):
        answer = program.get(path)
        assert (answer.status, answer.text) == (200, "Hello world!")
        assert answer.headers["Content-Type"] == "text/plain"


def test_grafted_application_has_to_give_bytes(script):
    """5.9.2 as printed, and 13.13 and 13.14 (#1489): text is refused, not encoded somehow."""
    program = script(GRAFTED.format(item="'Hello world!'")).serving()
    assert program.get("/").status == 500
    assert "bytes" in program.wait_for("Error: ")


def test_native_server_does_without_wsgi(script):
    """5.9.3."""
    program = script(
        HELLO
        + """
if __name__ == "__main__":
    from cptoolkit._cpnative_server import CPHTTPServer
    cherrypy.server.httpserver = CPHTTPServer(cherrypy.server)
    cherrypy.quickstart(Root(), "/")
"""
    ).serving()
    answer = program.get("/")
    assert (answer.status, answer.text) == (200, "Hello World!")
    assert program.get("/nope").status == 404
    assert program.stop() == 0
