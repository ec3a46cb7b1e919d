"""The engine: accept, poll, lend threads, keep time, drain. It knows nothing of HTTP.

Worker threads poll for themselves. One of them, the *leader*, waits for events and answers what it
finds in its own thread: as long as handlers are quick, no request changes threads. A handler that
blocks must not stop the others, so leadership moves on in two ways:

- when handlers have been slow lately, the leader promotes another thread *before* each call;
- otherwise the *watch*, the thread in :meth:`Engine.run`, looks every millisecond whether the
  leader is still in the same call, and promotes another one if so.

Connections with events wait in ``_ready``, which every free worker empties before it does anything
else. While all workers are blocked nobody leads; then the watch polls, so that accepting, heads
and timeouts go on, and the first worker to finish takes over.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter

from cptoolkit.servers.acceptor import Acceptor
from cptoolkit.servers.connection import (
    CLOSED,
    LINGERING,
    NEVER,
    OPEN,
    READ_SIZE,
    Connection,
)
from cptoolkit.servers.errors import Disconnected
from cptoolkit.servers.options import Options
from cptoolkit.servers.poller import Poller, new_poller
from cptoolkit.servers.protocol import Log, ProtocolFactory

TICK = 0.001
"""Seconds between two looks of the watch; a blocking handler is noticed within two of them."""

BUSY_TICK = 0.01
"""Seconds between two looks while all workers are blocked and the watch can only poll."""

CALM = 20
"""Looks without any request after which the watch goes to sleep until the leader wakes it."""

SLOW = 0.001
"""Seconds in a handler from which on it counts as slow."""

WARY = 64
"""Quick answers in a row after which slow ones are forgotten and requests are answered inline."""

SURPLUS_TIME = 10.0
"""Seconds after which an idle thread above ``thread_pool`` ends."""

JOIN_TIME = 0.5
"""Seconds which threads get to end after their connections were cut."""


class Worker(threading.Thread):
    """A thread that runs handlers, and sometimes leads."""

    def __init__(self, engine: Engine, number: int) -> None:
        super().__init__(name=f"cptoolkit-worker-{number}", daemon=True)
        self.engine = engine
        self.gate = threading.Lock()
        self.gate.acquire()
        self.calls = 0
        """Odd while a handler runs; two more after each."""
        self.idle_since = 0.0
        self.dismissed = False

    def run(self) -> None:
        self.engine.work(self)


class Engine:
    """Runs a protocol on every connection that comes to ``listeners``."""

    def __init__(
        self,
        options: Options,
        listeners: Sequence[socket.socket],
        factory: ProtocolFactory,
        log: Log,
        poller: Callable[[], Poller] = new_poller,
    ) -> None:
        self.options = options
        self.draining = False
        self.connections: dict[int, Connection] = {}
        self._factory = factory
        self._log = log
        self._poller = poller()
        self._acceptor = Acceptor(listeners, self._poller, options, log)
        self._rearms = self._poller.rearms
        self._ready: deque[Connection] = deque()
        self._mutex = threading.Lock()
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._leader: Worker | None = None
        self._numbers = 0
        self._wary = 0
        self._quit = False
        self._stop = False
        self._alarm = threading.Lock()  # a lock is the cheapest wait there is; held means: sleep
        self._alarm.acquire()
        self._stand_in_place = Worker(self, 0)  # never started
        self._parked = False
        timeouts = (options.keep_alive_timeout, options.socket_timeout, options.header_timeout)
        shortest = min([t for t in timeouts if t] or [4.0])
        self._sweep_every = min(1.0, max(0.02, shortest / 4))

    def patience(self, seconds: float) -> float:
        """Return the deadline that is ``seconds`` away, where 0 is never."""
        return monotonic() + seconds if seconds else NEVER

    # -- the life of the engine -------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`, keeping watch in the calling thread."""
        self._acceptor.listen()
        for _ in range(self.options.thread_pool):
            self._hire()
        self._watch()

    def stop(self) -> None:
        """Make :meth:`run` return. For any thread and for signal handlers."""
        self._stop = True
        self._ring()

    def _ring(self) -> None:
        self._parked = False
        with contextlib.suppress(RuntimeError):  # rings already
            self._alarm.release()

    def deafen(self) -> None:
        """Accept what the kernel has accepted on our behalf, and nothing more."""
        for sock, peer in self._acceptor.take_last():
            self._welcome(sock, peer)

    def drain(self) -> list[str]:
        """Let requests in flight finish within ``shutdown_timeout``, then end all threads.

        :returns: the names of threads that are still in a handler.
        """
        deadline = monotonic() + self.options.shutdown_timeout
        self.draining = True
        while self.connections and monotonic() < deadline:
            self._ready.extend(c for c in list(self.connections.values()) if not c.lock.locked())
            self._set_going()
            self._alarm.acquire(timeout=0.01)
        for conn in list(self.connections.values()):
            conn.abort()
        return self._dismiss()

    def is_worker(self) -> bool:
        """Whether the current thread is one of this engine's workers."""
        return threading.current_thread() in self._workers

    def _dismiss(self) -> list[str]:
        self._quit = True
        deadline = monotonic() + JOIN_TIME
        here = threading.current_thread()
        for worker in list(self._workers):
            with contextlib.suppress(RuntimeError):
                worker.gate.release()
        for worker in list(self._workers):
            if worker is not here:
                self._poller.wake()
                worker.join(max(0.0, deadline - monotonic()))
        stuck = [w.name for w in self._workers if w.is_alive() and w is not here]
        for conn in list(self.connections.values()):
            if conn.lock.acquire(False):
                conn.close()
        self._poller.close()
        return stuck

    def _hire(self) -> None:
        self._numbers += 1
        worker = Worker(self, self._numbers)
        self._workers.add(worker)
        worker.start()

    # -- the workers ------------------------------------------------------------------------------

    def work(self, worker: Worker) -> None:
        """Do what a worker does, until the engine quits or has one worker too many."""
        while not self._quit:
            try:
                if not self._work(worker):
                    break
            except Exception:
                self._log("the server failed to handle an event", logging.ERROR, True)
        with self._mutex:
            self._workers.discard(worker)
            if self._leader is worker:
                self._leader = None

    def _work(self, worker: Worker) -> bool:
        ready = self._ready
        while not self._quit:
            if ready:
                try:
                    conn = ready.popleft()
                except IndexError:  # another worker was quicker
                    continue
                conn.again = True
                while conn.again and conn.lock.acquire(False):
                    self._serve(conn, worker)
            elif self._leader is worker:
                self._poll(None)
            elif not self._rest(worker):
                return False
        return False

    def _rest(self, worker: Worker) -> bool:
        """Wait to be promoted or needed; tell whether the worker is to go on."""
        with self._mutex:
            if self._leader is None:
                self._leader = worker
                return True
            worker.idle_since = monotonic()
            self._idle.append(worker)
        worker.gate.acquire()
        return not worker.dismissed

    def _promote(self) -> None:
        """Let an idle worker lead, or nobody if there is none."""
        with self._mutex:
            self._leader = None
            if self._idle:
                self._leader = worker = self._idle.pop()
                worker.gate.release()

    def _poll(self, timeout: float | None) -> None:
        busy, listeners = self._poller.wait(timeout)
        self._ready.extend(busy)
        for listener in listeners:
            for sock, peer in self._acceptor.take(listener):
                self._welcome(sock, peer)
            if self._parked:  # there is something to keep time for
                self._ring()

    def _serve(self, conn: Connection, worker: Worker) -> None:
        """Take what came on ``conn``, which the caller has locked, and answer what is complete."""
        try:
            conn.again = False
            if conn.state == OPEN:
                self._converse(conn, worker)
            if conn.state != OPEN:
                if conn.state != CLOSED:
                    self._end(conn)
            elif self.draining and not conn.out and conn.protocol.idle():
                conn.close()
        except Disconnected:
            conn.close()
        except BaseException:
            self._log("a connection was dropped because of an error", logging.ERROR, True)
            conn.close()
        finally:
            if self._rearms and conn.state != CLOSED:
                self._poller.rearm(conn)
            conn.lock.release()

    def _converse(self, conn: Connection, worker: Worker) -> None:
        protocol = conn.protocol
        requests = protocol.requests
        more = True
        while True:
            if conn.out:
                conn.flush()
                if conn.out:  # whoever does not take answers gets no new ones
                    return
            if requests:
                worker.calls += 1
                try:
                    if self._wary:
                        self._answer_warily(protocol.answer, worker)
                    else:
                        if self._parked:  # looked at after ``calls`` was raised, see _watch
                            self._ring()
                        protocol.answer()
                finally:
                    worker.calls += 1
                if conn.state != OPEN:
                    return
                continue
            if not more:
                return
            try:
                data = conn.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                conn.close()
                return
            protocol.feed(data)
            if conn.state != OPEN:
                return
            more = len(data) == READ_SIZE or (conn.hung_up and data != b"")

    def _answer_warily(self, answer: Callable[[], None], worker: Worker) -> None:
        """Let another worker lead before a call that is likely to block."""
        if self._leader is worker:
            self._promote()
        began = perf_counter()
        answer()
        if perf_counter() - began >= SLOW:
            self._wary = WARY
        else:
            self._wary = max(0, self._wary - 1)

    def _end(self, conn: Connection) -> None:
        conn.flush()
        conn.proceed()
        if conn.state == LINGERING:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                for _ in range(16):
                    try:
                        if conn.recv(READ_SIZE):
                            continue
                    except ConnectionError:
                        pass
                    conn.close()
                    return
                # One who sends this much does not listen any more.
                conn.close()
            if self.draining:
                conn.close()

    # -- accepting --------------------------------------------------------------------------------

    def _welcome(self, sock: socket.socket, peer: object) -> None:
        conn = Connection(sock, peer, self)
        conn.protocol = self._factory(conn)
        conn.deadline = self.patience(self.options.header_timeout)
        self.connections[conn.fd] = conn
        self._poller.add(conn)

    def forget(self, conn: Connection) -> None:
        """Take a closing connection out of every set."""
        self._poller.remove(conn)
        if self.connections.get(conn.fd) is conn:
            del self.connections[conn.fd]

    # -- the watch --------------------------------------------------------------------------------

    def _watch(self) -> None:
        leader: Worker | None = None
        calls = calm = 0
        sweep_at = monotonic() + self._sweep_every
        while not self._stop:
            pause = BUSY_TICK if self._leader is None else TICK
            if calm >= CALM:
                # First say so, then look again: a call that begins now either sees that it has to
                # ring, or is seen here.
                self._parked = True
                if leader is not None and leader.calls == calls:
                    waiting = self.connections or self._acceptor.deaf_until
                    pause = self._sweep_every if waiting else -1.0
            self._alarm.acquire(timeout=pause)
            self._parked = False
            now = monotonic()
            if now >= sweep_at:
                sweep_at = now + self._sweep_every
                self._sweep(now)
            current = self._leader
            if current is None:
                calm = 0
                self._stand_in()
            elif current is leader and current.calls == calls:
                if calls & 1:
                    calm = 0
                    self._wary = WARY
                    self._promote()
                else:
                    calm += 1
                    self._look_after_ready()
            else:
                calm = 0
                leader, calls = current, current.calls

    def _stand_in(self) -> None:
        """All workers are blocked: poll in their place, and get more of them if that is allowed."""
        with self._mutex:
            if self._leader is not None:
                return
            self._leader = self._stand_in_place
        try:
            self._poll(0)
            if self._ready and len(self._workers) < self.options.thread_pool_max:
                self._hire()
        finally:
            self._promote()

    def _look_after_ready(self) -> None:
        """Wake somebody if connections wait although a worker is free.

        A leader that was replaced while it polled may leave some behind.
        """
        if self._ready:
            self._set_going()

    def _set_going(self) -> None:
        with self._mutex:
            if self._idle:
                self._idle.pop().gate.release()
                return
        self._poller.wake()

    def _sweep(self, now: float) -> None:
        # What these have sent came in time, though nobody was free to read it.
        waiting = set(self._ready.copy())
        for conn in list(self.connections.values()):
            if conn.deadline < now and conn not in waiting and conn.lock.acquire(False):
                try:
                    if conn.deadline < now and conn.state != CLOSED:
                        self._expire(conn)
                finally:
                    conn.lock.release()
                if conn.again and conn.state != CLOSED:  # an event came while we had the lock
                    self._ready.append(conn)
                    self._set_going()
        if 0.0 < self._acceptor.deaf_until <= now:
            self._acceptor.listen()
        with self._mutex:
            surplus = len(self._workers) > self.options.thread_pool
            if surplus and self._idle and now - self._idle[0].idle_since > SURPLUS_TIME:
                worker = self._idle.pop(0)
                worker.dismissed = True
                worker.gate.release()

    def _expire(self, conn: Connection) -> None:
        try:
            if conn.state == OPEN and not conn.out:
                conn.protocol.expired()
                if conn.state != OPEN:
                    return
        except Disconnected:
            pass
        conn.close()
