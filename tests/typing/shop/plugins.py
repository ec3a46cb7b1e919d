"""A plugin: what works while nobody is served."""

from __future__ import annotations

import cptoolkit
from cptoolkit.process.plugins import SimplePlugin
from cptoolkit.process.wspbus import Bus


class Greeter(SimplePlugin):
    def __init__(self, bus: Bus, name: str) -> None:
        super().__init__(bus)
        self.name = name

    def start(self) -> None:
        self.bus.log(f"{self.name} is here")

    def stop(self) -> None:
        self.bus.log(f"{self.name} has gone")


def attach_greeter() -> Greeter:
    greeter = Greeter(cptoolkit.engine, "Ann")
    greeter.subscribe()
    return greeter


def note_request() -> None:
    cptoolkit.log(cptoolkit.request.path_info)


def attach_hook() -> None:
    cptoolkit.request.hooks.attach("on_end_request", note_request, priority=80)
