"""An application with a plugin, and a trace of its life in the file that TRACE names."""

import os

import cptoolkit
from cptoolkit.process.plugins import Monitor, SimplePlugin


def note(what):
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(f"{what} {os.getpid()}\n")


class Plugin(SimplePlugin):
    def start(self):
        note("start")
        if "OUT_OF_ORDER" in os.environ:
            raise RuntimeError("no database")

    def stop(self):
        note("stop")

    def exit(self):
        note("exit")

    def main(self):
        note("main")

    def graceful(self):
        note("graceful")


class Root:
    @cptoolkit.expose
    def index(self):
        return f"{os.getpid()} {cptoolkit.url('/page')}"

    @cptoolkit.expose
    def fail(self):
        raise LookupError("out of luck")

    @cptoolkit.expose
    def give_up(self):
        cptoolkit.engine.exit()
        return "the end"


def make():
    return cptoolkit.tree.mount(Root())


Plugin(cptoolkit.engine).subscribe()
Monitor(cptoolkit.engine, lambda: note("tick"), 0.05).subscribe()
wsgiapp = application = make()
