"""8.7.2 to 8.7.4: the modules of the reference under Tornado, Twisted and uWSGI."""

import shutil
import sys
from pathlib import Path

import pytest

APPLICATION = """
import cptoolkit as cherrypy

class Root:
    @cherrypy.expose
    def index(self):
        return "hello world"

cherrypy.config.update({"engine.autoreload.on": False})
cherrypy.server.unsubscribe()

def tell_once():
    cherrypy.log("main is published to")
    cherrypy.engine.unsubscribe("main", tell_once)

cherrypy.engine.subscribe("main", tell_once)
"""

TORNADO = """
if __name__ == "__main__":
    import sys
    import tornado.httpserver, tornado.ioloop, tornado.wsgi

    wsgiapp = cherrypy.tree.mount(Root())
    cherrypy.engine.signals.subscribe()
    cherrypy.log.error_log.propagate = False
    cherrypy.engine.start()

    container = tornado.wsgi.WSGIContainer(wsgiapp)
    http_server = tornado.httpserver.HTTPServer(container)
    http_server.listen(int(sys.argv[1]), "127.0.0.1")
    tornado.ioloop.PeriodicCallback(lambda: cherrypy.engine.publish("main"), 100).start()
    cherrypy.engine.subscribe("exit", lambda: loop.add_callback_from_signal(loop.stop))
    loop = tornado.ioloop.IOLoop.current()
    loop.start()
"""

TWISTED = """
from twisted.internet import reactor, task
from twisted.web.wsgi import WSGIResource

wsgiapp = cherrypy.tree.mount(Root())
task.LoopingCall(lambda: cherrypy.engine.publish("main")).start(0.1)
reactor.addSystemEventTrigger("after", "startup", cherrypy.engine.start)
reactor.addSystemEventTrigger("before", "shutdown", cherrypy.engine.exit)
resource = WSGIResource(reactor, reactor.getThreadPool(), wsgiapp)
"""

UWSGI = """
cherrypy.engine.start()

wsgiapp = cherrypy.tree.mount(Root())
"""


def beside(name):
    """A command of the environment that the tests run in."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    return found or pytest.skip(f"needs {name}")


def check(program, port):
    program.listening(port)
    answer = program.get("/")
    assert (answer.status, answer.text) == (200, "hello world")
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert program.get("/nope").status == 404


def test_tornado_serves(command, tmp_path, free_port):
    """8.7.2; here its loop ends with the bus, which the listing leaves to others."""
    pytest.importorskip("tornado", reason="needs tornado")
    (tmp_path / "served.py").write_text(APPLICATION + TORNADO)
    program = command(sys.executable, "served.py", free_port)
    check(program, free_port)
    program.wait_for("main is published to")
    assert program.stop() == 0
    assert any("Bus STOPPED" in line for line in program.rest())
    assert not any("Serving on" in line for line in program.output)


def test_twisted_serves(command, tmp_path, free_port):
    """8.7.3: the bus starts after the reactor, and ends before it."""
    (tmp_path / "cptw.py").write_text(APPLICATION + TWISTED)
    web = ["web", "--listen", f"tcp:{free_port}:interface=127.0.0.1", "--wsgi", "cptw.wsgiapp"]
    program = command(beside("twistd"), "-n", "--pidfile=", *web, env={"PYTHONPATH": "."})
    check(program, free_port)
    program.wait_for("main is published to")
    program.stop()
    log = "\n".join(program.rest())
    states = ["Bus STARTED", "Bus STOPPED", "Bus EXITED"]
    assert [log.count(state) for state in states] == [1, 1, 1]
    assert log.index("starting on") < log.index("Bus STARTED")
    assert "Serving on" not in log


def test_uwsgi_serves(command, tmp_path, free_port):
    """8.7.4."""
    (tmp_path / "mymod.py").write_text(APPLICATION + UWSGI)
    options = {
        "--socket": f"127.0.0.1:{free_port}",
        "--protocol": "http",
        "--wsgi-file": "mymod.py",
        "--callable": "wsgiapp",
        "-H": sys.prefix,
    }
    program = command(beside("uwsgi"), *(word for option in options.items() for word in option))
    check(program, free_port)
    assert program.wait_for("Bus STARTED")
