"""The engine: accept, poll, lend threads, keep time, drain. It knows nothing of HTTP.

Worker threads poll for themselves. One of them, the *leader*, waits for events and answers what it
finds in its own thread: as long as handlers are quick, no request changes threads. A handler that
blocks must not stop the others, so leadership moves on in two ways:

- when handlers have been slow lately, the leader promotes another thread *before* each call;
- otherwise the *watch* looks every millisecond whether the leader is still in the same call, and
  promotes another one if so (see :mod:`cptoolkit.servers.watch`).

Connections with events wait in ``ready``, which every free worker empties before it does anything
else.
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
from cptoolkit.servers.watch import Watch

SLOW = 0.001
"""Seconds in a handler from which on it counts as slow."""

WARY = 64
"""Quick answers in a row after which slow ones are forgotten and requests are answered inline."""

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
        self.log = log
        self.draining = False
        self.connections: dict[int, Connection] = {}
        self.ready: deque[Connection] = deque()
        """Connections on which something has happened, for any worker to see to."""
        self.leader: Worker | None = None
        self._wary = 0
        self._factory = factory
        self._poller = poller()
        self.acceptor = Acceptor(listeners, self._poller, options, log, self.connections)
        self._rearms = self._poller.rearms
        self._mutex = threading.Lock()
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._numbers = 0
        self._quit = False
        self._handed_over: set[Connection] = set()
        self._watch = Watch(self)
        self._stand_in_place = Worker(self, 0)  # never started

    def patience(self, seconds: float) -> float:
        """Return the deadline that is ``seconds`` away, where 0 is never."""
        return monotonic() + seconds if seconds else NEVER

    # -- the life of the engine -------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`, keeping watch in the calling thread."""
        self.acceptor.listen()
        for _ in range(self.options.thread_pool):
            self._hire()
        self._watch.run()

    def stop(self) -> None:
        """Make :meth:`run` return. For any thread and for signal handlers."""
        self._watch.stop()

    def deafen(self) -> None:
        """Accept what the kernel has accepted on our behalf, and nothing more."""
        for sock, peer in self.acceptor.take_last():
            self._welcome(sock, peer)

    def drain(self) -> list[str]:
        """Let requests in flight finish within ``shutdown_timeout``, then end all threads.

        :returns: the names of threads that are still in a handler.
        """
        deadline = monotonic() + self.options.shutdown_timeout
        self.draining = True
        for conn in list(self._handed_over):
            conn.abort()  # their conversations have no end of their own
        while (self.connections or self._handed_over) and monotonic() < deadline:
            self.ready.extend(c for c in list(self.connections.values()) if not c.lock.locked())
            self.set_going()
            self._watch.rest(0.01)
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

    def _strength(self) -> int:
        """How many threads there are for requests: a connection handed over has its own."""
        return len(self._workers) - len(self._handed_over)

    # -- the workers ------------------------------------------------------------------------------

    def work(self, worker: Worker) -> None:
        """Do what a worker does, until the engine quits or has one worker too many."""
        while not self._quit:
            try:
                if not self._work(worker):
                    break
            except Exception:
                self.log("the server failed to handle an event", logging.ERROR, True)
        with self._mutex:
            self._workers.discard(worker)
            if self.leader is worker:
                self.leader = None

    def _work(self, worker: Worker) -> bool:
        ready = self.ready
        while not self._quit:
            if ready:
                try:
                    conn = ready.popleft()
                except IndexError:  # another worker was quicker
                    continue
                conn.again = True
                while conn.again and conn.lock.acquire(False):
                    self._serve(conn, worker)
            elif self.leader is worker:
                self._poll(None)
            elif not self._rest(worker):
                return False
        return False

    def _rest(self, worker: Worker) -> bool:
        """Wait to be promoted or needed; tell whether the worker is to go on."""
        with self._mutex:
            if self.leader is None:
                self.leader = worker
                return True
            worker.idle_since = monotonic()
            self._idle.append(worker)
        worker.gate.acquire()
        return not worker.dismissed

    def promote(self) -> None:
        """Let an idle worker lead, or nobody if there is none."""
        with self._mutex:
            self.leader = None
            if self._idle:
                self.leader = worker = self._idle.pop()
                worker.gate.release()

    def _poll(self, timeout: float | None) -> None:
        busy, listeners = self._poller.wait(timeout)
        self.ready.extend(busy)
        for listener in listeners:
            for sock, peer in self.acceptor.take(listener):
                self._welcome(sock, peer)
            if self._watch.parked:  # there is something to keep time for
                self._watch.ring()

    def _serve(self, conn: Connection, worker: Worker) -> None:
        """Take what came on ``conn``, which the caller has locked, and answer what is complete."""
        try:
            conn.again = False
            if conn.state == OPEN:
                self._converse(conn, worker)
            if conn.state != OPEN:
                if conn.state < CLOSED:
                    self._end(conn)
            elif self.draining and not conn.unsent and conn.protocol.idle():
                conn.close()
        except Disconnected:
            conn.close()
        except BaseException:
            self.log("a connection was dropped because of an error", logging.ERROR, True)
            conn.close()
        finally:
            if self._rearms and conn.state < CLOSED:
                self._poller.rearm(conn)
            conn.lock.release()

    def _converse(self, conn: Connection, worker: Worker) -> None:
        protocol = conn.protocol
        requests = protocol.requests
        more = True
        if conn.preludes and not conn.prepare():
            return
        while True:
            if conn.unsent:
                self._flush(conn, worker)
                if conn.unsent:  # whoever does not take answers gets no new ones
                    return
            if requests:
                worker.calls += 1
                try:
                    if self._wary:
                        self._answer_warily(protocol.answer, worker)
                    else:
                        if self._watch.parked:  # looked at after ``calls`` was raised, see there
                            self._watch.ring()
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
            # What is decrypted already makes no event.
            more = (
                len(data) == READ_SIZE
                or (conn.hung_up and data != b"")
                or conn.transport is not None
            )

    def _flush(self, conn: Connection, worker: Worker) -> None:
        worker.calls += 1  # the disk may let it wait
        try:
            if conn.flush():
                self.ready.append(conn)
        finally:
            worker.calls += 1

    def _answer_warily(self, answer: Callable[[], None], worker: Worker) -> None:
        """Let another worker lead before a call that is likely to block."""
        if self.leader is worker:
            self.promote()
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
        if conn in self._handed_over:
            self._handed_over.discard(conn)
            return
        self._poller.remove(conn)
        if self.connections.get(conn.fd) is conn:
            del self.connections[conn.fd]
        if self.acceptor.full and not self.draining:
            self.acceptor.listen()

    # -- connections that applications take over --------------------------------------------------

    def takes_over(self) -> bool:
        """Whether one more connection may be handed over."""
        return len(self._handed_over) < self.options.max_upgrades

    def hand_over(self, conn: Connection) -> None:
        """Let go of a connection; the worker that answers it is from now on its own."""
        self._handed_over.add(conn)
        self._poller.remove(conn)
        if self.connections.get(conn.fd) is conn:
            del self.connections[conn.fd]
        if self._strength() < self.options.thread_pool:
            self._hire()

    # -- for the watch ----------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether there is nothing to keep time for."""
        return not (self.connections or self.acceptor.deaf_until)

    def relieve(self) -> None:
        """The leader is blocked: let another one lead, and expect more of the kind."""
        self._wary = WARY
        self.promote()

    def stand_in(self) -> None:
        """All workers are blocked: poll in their place, and get more of them if that is allowed."""
        with self._mutex:
            if self.leader is not None:
                return
            self.leader = self._stand_in_place
        try:
            self._poll(0)
            if self.ready and self._strength() < self.options.thread_pool_max:
                self._hire()
        finally:
            self.promote()

    def set_going(self) -> None:
        """Wake somebody if connections wait although a worker is free.

        A leader that was replaced while it polled may leave some behind.
        """
        with self._mutex:
            if self._idle:
                self._idle.pop().gate.release()
                return
        self._poller.wake()

    def dismiss_surplus(self, idle_since: float) -> None:
        """Send one worker home if there are more than wanted, and one has been idle for so long."""
        with self._mutex:
            surplus = self._strength() > self.options.thread_pool
            if surplus and self._idle and self._idle[0].idle_since < idle_since:
                worker = self._idle.pop(0)
                worker.dismissed = True
                worker.gate.release()
