"""What a server has done so far, counted while the option ``statistics`` asks for it.

The names are those of cheroot's, so that CherryPy's programs that show them go on working; they
find them in ``logging.statistics`` as well, where CherryPy's convention has them.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from cptoolkit.servers.connection import Connection
from cptoolkit.servers.errors import Disconnected
from cptoolkit.servers.exchange import Exchange

if TYPE_CHECKING:
    from cptoolkit.servers.engine import Engine
    from cptoolkit.servers.protocol import Transport


@dataclass
class Counts:
    """What one thread has done. Only that thread changes it, so that none is lost."""

    thread: threading.Thread | None = field(default_factory=threading.current_thread)
    accepts: int = 0
    errors: int = 0
    requests: int = 0
    read: int = 0
    written: int = 0
    worked: float = 0.0

    def add(self, other: Counts) -> None:
        """Add what another thread has done."""
        self.accepts += other.accepts
        self.errors += other.errors
        self.requests += other.requests
        self.read += other.read
        self.written += other.written
        self.worked += other.worked

    def figures(self) -> dict[str, Any]:
        """Return what there is to say of a thread, or of all of them."""
        worked = self.worked or 1e-6
        return {
            "Requests": self.requests,
            "Bytes Read": self.read,
            "Bytes Written": self.written,
            "Work Time": self.worked,
            "Read Throughput": self.read / worked,
            "Write Throughput": self.written / worked,
        }


class Statistics:
    """The counts of all threads, from when the server was prepared.

    :param address: where the server listens.
    """

    def __init__(self, address: object) -> None:
        self.address = address
        self.engine: Engine | None = None
        self._began = monotonic()
        self._ended: float | None = None
        self._local = threading.local()
        self._mutex = threading.Lock()
        self._counts: list[Counts] = []
        self._gone = Counts(thread=None)  # what threads did that have ended

    @property
    def here(self) -> Counts:
        """The counts of the current thread."""
        try:
            counts: Counts = self._local.counts
        except AttributeError:
            counts = self._local.counts = Counts()
            with self._mutex:
                for other in self._counts.copy():
                    if other.thread is not None and not other.thread.is_alive():
                        self._gone.add(other)
                        self._counts.remove(other)
                self._counts.append(counts)
        return counts

    def connection(self, sock: socket.socket, peer: object, engine: Engine) -> Connection:
        """Make a connection that counts, in place of the usual one."""
        self.here.accepts += 1
        return _CountedConnection(self, sock, peer, engine)

    def framing(self) -> type[Exchange]:
        """Return what makes a gateway's exchanges count."""
        return type("CountedExchange", (_CountedExchange,), {"statistics": self})

    # -- what is told -----------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return everything as it is now. Sizes are bytes, without what TLS adds; times seconds."""
        with self._mutex:
            counts = self._counts.copy()
            total = Counts(thread=None)
            for one in (self._gone, *counts):
                total.add(one)
        run_time = (self._ended or monotonic()) - self._began or 1e-6  # some clocks are coarse
        threads = {one.thread.name: one.figures() for one in counts if one.thread and one.requests}
        return {
            "Enabled": True,
            "Bind Address": self.address,
            "Run time": run_time,
            "Accepts": total.accepts,
            "Accepts/sec": total.accepts / run_time,
            "Socket Errors": total.errors,
            **self._state(),
            **total.figures(),
            "Worker Threads": threads,
        }

    def _state(self) -> dict[str, int]:
        engine = self.engine
        if engine is None:
            return {"Connections": 0, "Queue": 0, "Threads": 0, "Threads Idle": 0}
        crew = engine.crew
        leader = crew.leader
        leads = leader is not None and leader in crew and not leader.calls & 1
        return {
            "Connections": len(engine.connections),
            "Queue": len(engine.ready),
            "Threads": crew.strength,
            "Threads Idle": crew.resting + leads,
        }

    # -- where it is told -------------------------------------------------------------------------

    def begin(self, engine: Engine) -> None:
        """The server is about to serve: publish what it does."""
        self.engine = engine
        self._began = monotonic()
        published = logging.__dict__.setdefault("statistics", {})
        published[self._name] = {name: self._figure(name) for name in self.snapshot()}

    def end(self) -> None:
        """The server has stopped."""
        self._ended = monotonic()
        self.engine = None
        vars(logging).get("statistics", {}).pop(self._name, None)

    @property
    def _name(self) -> str:
        return f"cptoolkit server {self.address}"

    def _figure(self, name: str) -> Callable[[object], Any]:
        """Return one figure as CherryPy's convention has it: a function of its namespace."""
        return lambda namespace: self.snapshot()[name]


class _CountedConnection(Connection):
    __slots__ = ("_statistics",)

    def __init__(
        self, statistics: Statistics, sock: socket.socket, peer: object, engine: Engine
    ) -> None:
        super().__init__(sock, peer, engine)
        self._statistics = statistics
        self.recv = self._counted(sock.recv)

    def encrypt(self, transport: Transport) -> None:
        super().encrypt(transport)
        self.recv = self._counted(transport.recv)

    def _counted(self, recv: Callable[[int], bytes]) -> Callable[[int], bytes]:
        statistics = self._statistics

        def counted(size: int) -> bytes:
            try:
                data = recv(size)
            except (BlockingIOError, InterruptedError):
                raise
            except OSError:
                statistics.here.errors += 1
                raise
            statistics.here.read += len(data)
            return data

        return counted

    def send(self, data: bytes) -> None:
        counts = self._statistics.here
        counts.written += len(data)
        try:
            super().send(data)
        except Disconnected:
            counts.errors += 1
            raise

    def send_file(self, descriptor: int, offset: int, size: int) -> None:
        self._statistics.here.written += size
        super().send_file(descriptor, offset, size)


class _CountedExchange(Exchange):
    statistics: Statistics

    def answer(self) -> None:
        counts = self.statistics.here
        counts.requests += 1  # before a client can have its answer, and ask
        began = perf_counter()
        try:
            super().answer()
        finally:
            counts.worked += perf_counter() - began
