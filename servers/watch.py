"""The watch of an engine: its clock, and its eye on workers that block.

It looks every millisecond whether the leader is still in the same call, and lets another worker
lead if so. While all workers are blocked nobody leads; then the watch polls, so that accepting,
heads and timeouts go on, turns away what is too much, and the first worker to finish takes over.
Without requests it sleeps.
"""

from __future__ import annotations

import contextlib
import threading
from time import monotonic
from typing import TYPE_CHECKING

from cptoolkit.servers.connection import CLOSED, OPEN, READ_SIZE, Connection
from cptoolkit.servers.errors import Disconnected

if TYPE_CHECKING:
    from cptoolkit.servers.engine import Engine, Worker

TICK = 0.001
"""Seconds between two looks; a blocking handler is noticed within two of them."""

BUSY_TICK = 0.01
"""Seconds between two looks while all workers are blocked and the watch can only poll."""

CALM = 20
"""Looks without any request after which the watch goes to sleep until the leader wakes it."""

SURPLUS_TIME = 10.0
"""Seconds after which an idle thread above ``thread_pool`` ends."""


class Watch:
    """Keeps time for ``engine`` in the thread that calls :meth:`run`."""

    parked: bool = False
    """Whether whoever begins a call, or accepts a connection, has to :meth:`ring`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = False
        self._alarm = threading.Lock()  # a lock is the cheapest wait there is; held means: sleep
        self._alarm.acquire()
        self._waiting: dict[Connection, float] = {}
        options = engine.options
        timeouts = (options.keep_alive_timeout, options.socket_timeout, options.header_timeout)
        shortest = min([t for t in timeouts if t] or [4.0])
        self._sweep_every = min(1.0, max(0.02, shortest / 4))

    def stop(self) -> None:
        """Make :meth:`run` return. For any thread and for signal handlers."""
        self._stop = True
        self.ring()

    def ring(self) -> None:
        """End the sleep of the watch."""
        self.parked = False
        with contextlib.suppress(RuntimeError):  # rings already
            self._alarm.release()

    def rest(self, seconds: float) -> None:
        """Sleep until somebody rings, ``seconds`` at most; negative is without limit."""
        self._alarm.acquire(timeout=seconds)

    def run(self) -> None:
        """Keep watch until :meth:`stop`."""
        engine = self._engine
        leader: Worker | None = None
        calls = calm = 0
        sweep_at = monotonic() + self._sweep_every
        while not self._stop:
            pause = BUSY_TICK if engine.leader is None else TICK
            if calm >= CALM:
                # First say so, then look again: a call that begins now either sees that it has to
                # ring, or is seen here.
                self.parked = True
                if leader is not None and leader.calls == calls:
                    pause = -1.0 if engine.is_quiet() else self._sweep_every
            self.rest(pause)
            self.parked = False
            now = monotonic()
            if now >= sweep_at:
                sweep_at = now + self._sweep_every
                self._sweep(now)
            current = engine.leader
            if current is None:
                calm = 0
                engine.stand_in()
                self._turn_away(now)
            elif current is leader and current.calls == calls:
                if calls & 1:
                    calm = 0
                    engine.relieve()
                else:
                    calm += 1
                    if engine.ready:
                        engine.set_going()
            else:
                calm = 0
                leader, calls = current, current.calls

    # -- too much ---------------------------------------------------------------------------------

    def _turn_away(self, now: float) -> None:
        """Refuse what waits too long in the queue before the queue."""
        options = self._engine.options
        if options.accepted_queue_size < 0 or self._engine.leader is not None:
            self._waiting.clear()
            return
        surplus = list(self._engine.ready.copy())[options.accepted_queue_size :]
        self._waiting = {conn: self._waiting.get(conn, now) for conn in surplus}
        for conn, since in self._waiting.items():
            if now - since >= options.accepted_queue_timeout and conn.lock.acquire(False):
                try:
                    self._refuse(conn)
                finally:
                    conn.lock.release()

    def _refuse(self, conn: Connection) -> None:
        try:
            if conn.state != OPEN or conn.unsent or (conn.preludes and not conn.prepare()):
                return
            with contextlib.suppress(BlockingIOError, InterruptedError):
                while conn.state == OPEN and not conn.protocol.requests:
                    conn.protocol.feed(conn.recv(READ_SIZE))
            if conn.protocol.requests:
                conn.protocol.overloaded()
        except (Disconnected, OSError):
            conn.close()

    # -- too late ---------------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        engine = self._engine
        # What these have sent came in time, though nobody was free to read it.
        waiting = set(engine.ready.copy())
        for conn in list(engine.connections.values()):
            if conn.deadline < now and conn not in waiting and conn.lock.acquire(False):
                try:
                    if conn.deadline < now and conn.state < CLOSED:
                        _expire(conn)
                finally:
                    conn.lock.release()
                if conn.again and conn.state < CLOSED:  # an event came while we had the lock
                    engine.ready.append(conn)
                    engine.set_going()
        if 0.0 < engine.acceptor.deaf_until <= now:
            engine.acceptor.listen()
        engine.dismiss_surplus(now - SURPLUS_TIME)


def _expire(conn: Connection) -> None:
    try:
        if conn.state == OPEN and not conn.unsent and not conn.preludes:
            conn.protocol.expired()
            if conn.state != OPEN:
                return
    except Disconnected:
        pass
    conn.close()
