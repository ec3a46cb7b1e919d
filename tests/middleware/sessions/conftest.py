"""Every place to keep sessions in, with the real servers behind."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from beside import Program, wait_until

from cptoolkit.middleware.sessions import lease
from cptoolkit.middleware.sessions.store import Store


def _in_use(store: Any) -> int:
    """How many connections of a pool are: closing the store would leave them open."""
    checked_out: Callable[[], int] = getattr(
        getattr(getattr(store, "engine", None), "pool", None), "checkedout", int
    )
    return checked_out()


class Place:
    """Where sessions are kept: makes stores of it, here and in other processes.

    :param made: the store's module and class.
    :param service: the server behind it, if there is one.
    """

    def __init__(self, made: str, *arguments: Any, service: Any = None, **options: Any) -> None:
        self.module, self.kind = made.split(":")
        self.arguments, self.options, self.service = arguments, options, service
        self._stores: list[Any] = []

    def store(self, **options: Any) -> Store:
        module = importlib.import_module(f"cptoolkit.middleware.sessions.{self.module}")
        store = getattr(module, self.kind)(*self.arguments, **{**self.options, **options})
        self._stores.append(store)
        return store

    def source(self, **options: Any) -> str:
        """The lines that make the ``store`` in a program."""
        arguments = [repr(argument) for argument in self.arguments]
        arguments += [f"{name}={value!r}" for name, value in {**self.options, **options}.items()]
        return (
            f"from cptoolkit.middleware.sessions.{self.module} import {self.kind}\n"
            f"store = {self.kind}({', '.join(arguments)})\n"
        )

    def close(self) -> None:
        """Close the stores, once what was locked in them is free again."""
        renewals = lease._renewals

        def all_released() -> bool:
            for left in list(renewals._leases):  # of a server that was not there then
                left.due = 0
                renewals.add(left)
            return not renewals._leases and not any(map(_in_use, self._stores))

        try:
            wait_until(all_released)
        finally:
            renewals._leases.clear()  # or a test that has failed would make all later ones fail
            for store in self._stores:
                if hasattr(store, "close"):
                    store.close()

    def forget(self) -> None:
        """Let go of the stores without a word."""
        self._stores.clear()


def place_of(name: str, request: pytest.FixtureRequest) -> Place:
    own = f"tests{uuid4().hex[:8]}"
    if name == "ram":
        return Place("ram:RamStore")
    if name == "files":
        folder = request.getfixturevalue("tmp_path")
        return Place("files:FileStore", str(folder / "sessions"), serializer="json")
    if name == "memcached":
        service = request.getfixturevalue("memcached_server")
        # JSON: that of pickles there should be signed is told elsewhere.
        options = {"prefix": f"{own}:", "serializer": "json"}
        return Place("memcached:MemcachedStore", [service.url], service=service, **options)
    if name == "redis":
        service = request.getfixturevalue("redis_server")
        return Place("redis:RedisStore", service.url, service=service, prefix=f"{own}:")
    if name == "sqlite":
        pytest.importorskip("sqlalchemy", reason="needs sqlalchemy")
        folder = request.getfixturevalue("tmp_path")
        return Place("sql:SQLStore", f"sqlite:///{folder}/sessions.db")
    if name == "postgresql":
        pytest.importorskip("psycopg", reason="needs psycopg")
        service = request.getfixturevalue("postgresql_server")
        return Place("sql:SQLStore", service.url, service=service, table=own)
    raise AssertionError(name)


ALL = ["ram", "files", "memcached", "redis", "sqlite", "postgresql"]
LEASING = ["memcached", "redis", "sqlite", "postgresql"]
SERVED = ["memcached", "redis", "postgresql"]


def _place(request: pytest.FixtureRequest) -> Iterator[Place]:
    place = place_of(request.param, request)
    yield place
    place.close()


any_place = pytest.fixture(params=ALL, name="any_place")(_place)
"""Each place there is."""

place = pytest.fixture(params=LEASING, name="place")(_place)
"""Each place that machines can share, and a file of SQLite."""

served = pytest.fixture(params=SERVED, name="served")(_place)
"""Each place with a server behind it."""


@pytest.fixture
def store(any_place: Place) -> Store:
    return any_place.store()


class Talking(Program):
    """A program that is told lines of input."""

    def __init__(self, source: str, folder: Any) -> None:
        path = folder / f"program{uuid4().hex}.py"
        path.write_text(source)
        # webob's cgi, and a fork beside threads, are no concern here.
        command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", path]
        super().__init__(command, folder, stdin=subprocess.PIPE)

    def wait_for(self, line: str) -> str:
        """Wait until it prints a line; anything else is an error."""
        printed = super().wait_for("")
        if printed != line:
            self.process.kill()
            raise AssertionError("\n".join([f"{line!r} was to come", *self.rest()]))
        return printed

    def tell(self, line: str) -> None:
        """Give it a line of input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture
def run(tmp_path: Any) -> Iterator[Callable[..., Talking]]:
    """Start a program that has a ``store``: ``run(place, source, **options of the store)``."""
    with ExitStack() as programs:

        def start(place: Place, source: str, **options: Any) -> Talking:
            program = Talking(place.source(**options) + textwrap.dedent(source), tmp_path)
            programs.callback(program.close)
            return program

        yield start
