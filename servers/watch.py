"""The watch of an engine: its clock, and its eye on workers that block.

Every millisecond, or less often where handlers have not blocked for long, it looks whether the
leader is still in the same call, and lets another worker lead if so. When a rare look finds it in a
call, the next one follows soon. While all workers are blocked nobody leads; then the watch polls,
so that accepting and timeouts go on, turns away what is too much, and the first one to finish takes
over. Without requests it sleeps, and looks at the time now and then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING

from cptoolkit.servers.connection import OPEN, READ_SIZE, Connection

if TYPE_CHECKING:
    from cptoolkit.servers.crew import Worker
    from cptoolkit.servers.engine import Engine

TICK = 0.001
"""Seconds between two looks; a blocking handler is noticed within two of them. Each look takes the
interpreter from the leader, which costs it some 50 us."""

LONGEST_TICK = 0.01
"""Seconds between two looks where no handler has blocked for long."""

GROWTH = 1.02
"""By how much more each look that finds the leader in another call puts off the next one: it takes
half a second of this until they are rare."""

BUSY_TICK = 0.01
"""Seconds between two looks while all workers are blocked and the watch can only poll."""

CALM = 20
"""Looks without any request after which the watch goes to sleep until the leader wakes it."""

LONGEST_SLEEP = 1.0
"""Seconds after which it wakes in any case. A signal that comes in the instant before the main
thread falls asleep does not wake it, so its handler has to wait for that."""

SURPLUS_TIME = 10.0
"""Seconds after which idle threads above ``thread_pool`` end."""

STALL = 0.5
"""Seconds that a look may be late. When it is later the machine has stalled, or a handler has kept
the interpreter for itself: for as long again what clients have sent meanwhile may be read before
anybody's time is over."""

FAILURE_TIME = 0.1
"""Seconds without a look after one failed."""


class Watch:
    """Keeps time for ``engine`` in the thread that calls :meth:`run`."""

    parked: bool = False
    """Whether whoever begins a call, or is the last to do so, has to :meth:`ring`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = False
        self._alarm = threading.Lock()  # a lock is the cheapest wait there is; held means: sleep
        self._alarm.acquire()
        self._leader: Worker | None = None  # as seen at the last look
        self._calls = 0
        self._calm = 0
        self._wonders = False  # whether a call that has just been seen goes on
        self.tick = TICK
        """Seconds until the next look, as long as somebody leads."""
        self._waiting: dict[Connection, float] = {}
        options = engine.options
        timeouts = (options.keep_alive_timeout, options.socket_timeout, options.header_timeout)
        shortest = min([t for t in timeouts if t], default=LONGEST_SLEEP)
        self._sweep_every = min(LONGEST_SLEEP, max(0.02, shortest / 4))
        self._sweep_at = 0.0
        self._stalled = False

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
        """Sleep until somebody rings, ``seconds`` at most."""
        self._alarm.acquire(timeout=seconds)

    def run(self) -> None:
        """Keep watch until :meth:`stop`."""
        while not self._stop:
            pause = self._pause()
            due = monotonic() + pause
            self.rest(pause)
            self.parked = False
            now = monotonic()
            self._stalled = not self._stalled and now - due > STALL
            if self._stalled:
                self._sweep_at = now + max(self._sweep_every, STALL)
            try:
                self._look(now)
            except Exception:
                self._engine.log("the server failed to keep watch", logging.ERROR, True)
                self.rest(FAILURE_TIME)

    def _pause(self) -> float:
        if self._calm >= CALM:
            # First say so, then look again: a call that begins now either sees that it has to
            # ring, or is seen here.
            self.parked = True
            if self._leader is not None and self._leader.calls == self._calls:
                return self._sweep_every
        if self._leader is None:
            return BUSY_TICK
        return TICK if self._wonders else self.tick

    def _look(self, now: float) -> None:
        engine = self._engine
        if now >= self._sweep_at:
            self._sweep_at = now + self._sweep_every
            self._sweep(now)
        leader = engine.crew.leader
        if leader is None:
            self._leader = None
            self._calm = 0
            engine.stand_in()
            self._turn_away(now)
            return
        self._waiting.clear()
        if leader is not self._leader or leader.calls != self._calls:
            self._leader, self._calls = leader, leader.calls
            self._calm = 0
            self._wonders = bool(leader.calls & 1) and not self._wonders
            if not engine.wary:
                self.tick = min(LONGEST_TICK, self.tick * GROWTH)
        elif leader.calls & 1:
            self._calm = 0
            self._wonders = False
            self.tick = TICK
            engine.relieve()
        else:
            self._calm += 1
            if engine.ready:
                engine.set_going()

    # -- too much ---------------------------------------------------------------------------------

    def _turn_away(self, now: float) -> None:
        """Refuse what waits too long in the queue before the queue."""
        engine, options = self._engine, self._engine.options
        if options.accepted_queue_size < 0 or engine.crew.leader is not None:
            return
        queue = list(dict.fromkeys(engine.ready.copy()))
        surplus = queue[options.accepted_queue_size :]
        self._waiting = {conn: self._waiting.get(conn, now) for conn in surplus}
        for conn, since in self._waiting.items():
            if now - since >= options.accepted_queue_timeout:
                engine.intervene(conn, _refuse)

    # -- too late ---------------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        engine = self._engine

        def expire(conn: Connection) -> None:
            if conn.deadline < now and not conn.again:  # else a worker is about to read
                _expire(conn)

        # What these have sent came in time, though nobody was free to read it.
        waiting = set(engine.ready.copy())
        for conn in list(engine.connections.values()):
            if conn.deadline < now and conn not in waiting:
                engine.intervene(conn, expire)
        if 0.0 < engine.acceptor.deaf_until <= now:
            engine.acceptor.listen()
        engine.crew.refill()
        engine.crew.dismiss_surplus(now - SURPLUS_TIME)


def _refuse(conn: Connection) -> None:
    """Answer a request in place of the application, if there is a whole one."""
    if conn.state != OPEN or conn.unsent or (conn.preludes and not conn.prepare()):
        return
    try:
        while conn.state == OPEN and not conn.protocol.requests:
            conn.protocol.feed(conn.recv(READ_SIZE))
    except (BlockingIOError, InterruptedError):
        return
    except OSError:
        conn.close()
    if conn.state == OPEN:
        conn.protocol.overloaded()


def _expire(conn: Connection) -> None:
    if conn.state == OPEN and not conn.unsent and not conn.preludes:
        conn.protocol.expired()
        conn.finish(linger=False)
    else:
        conn.close()
