"""HTTP servers on the bus, under one name (reference, chapters 5.8 and 6.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptoolkit.module_aliases import lacking
from cptoolkit.process.adapter import CannotServe, ServerAdapter
from cptoolkit.process.httpserver import Server
from cptoolkit.process.ports import (
    check_port,
    client_host,
    wait_for_free_port,
    wait_for_occupied_port,
)

__all__ = [
    "CannotServe",
    "Server",
    "ServerAdapter",
    "check_port",
    "client_host",
    "wait_for_free_port",
    "wait_for_occupied_port",
]

if not TYPE_CHECKING:  # type checkers would take any name at all
    __getattr__ = lacking("process.servers")
