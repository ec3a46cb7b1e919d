"""The engine: accept, poll, lend threads, keep time, drain. It knows nothing of HTTP.

Worker threads poll for themselves. One of them, the *leader*, waits for events and answers what it
finds in its own thread: as long as handlers are quick, no request changes threads. A handler that
blocks must not stop the others, so leadership moves on in two ways:

- when handlers have blocked lately, the leader promotes another thread *before* each call (see
  :mod:`cptoolkit.servers.wariness`);
- otherwise the *watch* looks every few milliseconds whether the leader is still in the same call,
  and promotes another one if so (see :mod:`cptoolkit.servers.watch`).

Connections with events wait in ``ready``, which every free worker empties before it does anything
else.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic, sleep

from cptoolkit.servers.acceptor import Acceptor
from cptoolkit.servers.connection import (
    CLOSED,
    LINGERING,
    NEVER,
    OPEN,
    READ_SIZE,
    Connection,
)
from cptoolkit.servers.crew import Crew, Worker
from cptoolkit.servers.errors import Disconnected
from cptoolkit.servers.options import Options
from cptoolkit.servers.poller import BATCH, Poller, new_poller
from cptoolkit.servers.protocol import Log, ProtocolFactory
from cptoolkit.servers.wariness import Wariness
from cptoolkit.servers.watch import Watch

JOIN_TIME = 0.5
"""Seconds which threads get to end after their connections were cut."""

FAILURE_TIME = 0.1
"""Seconds without polling after polling failed, so that lasting trouble does not burn a core."""

TURN = 32
"""Reads and answers on a connection whose client sends without a pause, before others have their
turn."""


class Engine:
    """Runs a protocol on every connection that comes to ``listeners``."""

    def __init__(
        self,
        options: Options,
        listeners: Sequence[socket.socket],
        factory: ProtocolFactory,
        log: Log,
        poller: Callable[[], Poller] = new_poller,
        connection: Callable[[socket.socket, object, Engine], Connection] = Connection,
    ) -> None:
        self.options = options
        self.log = log
        self.draining = False
        self.connections: dict[int, Connection] = {}
        self.ready: deque[Connection] = deque()
        """Connections on which something has happened, for any worker to see to."""
        self.crew = Crew(self._work, options.thread_pool, log)
        self._wariness = Wariness()
        self._factory = factory
        self._connection = connection
        self._poller = poller()
        self._rearms = self._poller.rearms
        self.acceptor = Acceptor(
            listeners, self._poller, options, log, self._occupied, self._welcome
        )
        names = [sock.getsockname() for sock in listeners]
        self._ports_differ = len({name[1] for name in names if isinstance(name, tuple)}) > 1
        self._handed_over: set[Connection] = set()
        self.taking_over = threading.Lock()
        """Held from asking whether a connection may be handed over until that is done."""
        self._watch = Watch(self)

    def patience(self, seconds: float) -> float:
        """Return the deadline that is ``seconds`` away, where 0 is never."""
        return monotonic() + seconds if seconds else NEVER

    # -- the life of the engine -------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`, keeping watch in the calling thread."""
        self.acceptor.listen()
        self.crew.refill()
        self._watch.run()

    def stop(self) -> None:
        """Make :meth:`run` return. For any thread and for signal handlers."""
        self._watch.stop()

    def deafen(self) -> bool:
        """Accept what the kernel has accepted on our behalf, and nothing more.

        :returns: whether there was room for all of it.
        """
        return self.acceptor.take_last()

    def drain(self, close: Callable[[], None] | None = None) -> list[str]:
        """Let requests in flight finish within ``shutdown_timeout``, then end all threads.

        :param close: closes what listens, if :meth:`deafen` could not accept all that waits there:
            it is when there is room, or no time left.
        :returns: the names of threads that are still in a handler.
        """
        deadline = monotonic() + self.options.shutdown_timeout
        self.draining = True
        while monotonic() < deadline:
            before = self._occupied()  # who has gone meanwhile has made room
            if close is not None and self.deafen():
                close()
                close = None
            if not (before or self._occupied()):
                break
            for conn in list(self._handed_over):
                conn.abort()  # their conversations have no end of their own
            if not self.ready:
                # Nobody may be polling any more, so everybody has a look at everything.
                found = list(self.connections.values())
                self.ready.extend([conn for conn in found if not conn.lock.locked()])
            while self.ready and self.crew.wake():
                pass
            self._poller.wake()
            self._watch.rest(0.01)
        if close is not None:
            close()
        for conn in list(self.connections.values()):
            conn.abort()
        return self._dismiss(deadline)

    def is_worker(self) -> bool:
        """Whether the current thread is one of this engine's workers."""
        return threading.current_thread() in self.crew

    def _dismiss(self, deadline: float) -> list[str]:
        self.crew.quit()
        self._poller.wake()
        stuck = self.crew.join(max(deadline, monotonic() + JOIN_TIME))
        for conn in list(self.connections.values()):
            if conn.lock.acquire(False):
                conn.close()
        self._poller.close()
        return stuck

    # -- the workers ------------------------------------------------------------------------------

    def _work(self, worker: Worker) -> None:
        """Do what a worker does, until all quit or there is one too many."""
        crew = self.crew
        try:
            while not crew.quitting:
                try:
                    if not self._see_to_events(worker):
                        break
                except Exception:
                    self.log("the server failed to handle an event", logging.ERROR, True)
                    sleep(FAILURE_TIME)
        except BaseException:
            self.log("a thread died, another takes its place", logging.ERROR, True)
        finally:
            crew.leave(worker)
            if crew.quitting:
                self._poller.wake()  # the next one, should there be more who wait for events

    def _see_to_events(self, worker: Worker) -> bool:
        """Serve, poll or rest; False means that the worker is not needed any more."""
        ready, crew = self.ready, self.crew
        while not crew.quitting:
            if ready:
                try:
                    conn = ready.popleft()
                except IndexError:  # another worker was quicker
                    continue
                conn.again = True
                while conn.again and conn.lock.acquire(False):
                    self._serve(conn, worker)
            elif crew.leader is worker:
                self._poll(None)
            elif not crew.rest(worker):
                return False
        return False

    def promote(self) -> None:
        """Let another worker lead; if all are at work, the watch stands in."""
        if not self.crew.promote() and self._watch.parked:
            self._watch.ring()

    def _poll(self, timeout: float | None) -> None:
        busy, listeners = self._poller.wait(timeout)
        self.ready.extend(busy)
        for listener in listeners:
            self.acceptor.take(listener)

    def _serve(self, conn: Connection, worker: Worker) -> None:
        """Take what came on ``conn``, which the caller has locked, and answer what is complete."""
        try:
            conn.again = False
            if conn.state == OPEN:
                self._converse(conn, worker)
            if conn.state != OPEN:
                if conn.state < CLOSED:
                    self._end(conn, worker)
            elif self.draining and not conn.unsent and conn.protocol.idle():
                conn.finish(linger=False)
        except Disconnected:
            conn.close()
        except BaseException:
            self.log("a connection was dropped because of an error", logging.ERROR, True)
            conn.close()
        finally:
            if self._rearms and conn.state < CLOSED:
                self._poller.rearm(conn)
            conn.lock.release()

    def intervene(self, conn: Connection, act: Callable[[Connection], None]) -> None:
        """Do something about a connection, unless a worker has it in hand. For the watch."""
        if not conn.lock.acquire(False):
            return
        try:
            act(conn)
        except Disconnected:
            conn.close()
        except Exception:
            self.log("a connection was dropped because of an error", logging.ERROR, True)
            conn.close()
        finally:
            conn.lock.release()
        if conn.state < CLOSED:  # a worker may have passed it by meanwhile
            self.ready.append(conn)
            self.set_going()

    def _converse(self, conn: Connection, worker: Worker) -> None:
        protocol = conn.protocol
        requests = protocol.requests
        more = True
        turns = TURN
        if conn.preludes and not conn.prepare():
            return
        while True:
            if conn.unsent:
                self._flush(conn, worker)
                if conn.unsent:  # whoever does not take answers gets no new ones
                    return
            if not (requests or more):
                return
            if not turns:
                self._let_others_in(conn, worker)
                return
            turns -= 1
            if requests:
                conn.waited = 0.0
                worker.calls += 1
                if self._watch.parked:  # looked at after ``calls`` was raised, see there
                    self._watch.ring()
                try:
                    if self._wariness.left:
                        if self.crew.leader is worker:
                            self.promote()
                        self._wariness.watch(protocol.answer)
                    else:
                        protocol.answer()
                finally:
                    worker.calls += 1
                if conn.state != OPEN:
                    return
                continue
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
            more = data != b"" and (
                len(data) == READ_SIZE or conn.hung_up or conn.transport is not None
            )

    def _flush(self, conn: Connection, worker: Worker) -> None:
        worker.calls += 1  # the disk may let it wait
        try:
            if conn.flush():
                self._let_others_in(conn, worker)
        finally:
            worker.calls += 1

    def _let_others_in(self, conn: Connection, worker: Worker) -> None:
        """Go on with a connection when others have had their turn, new ones among them."""
        self.ready.append(conn)
        if self.crew.leader is worker:  # who polls only when nothing else is to be done
            self._poll(0)

    def _end(self, conn: Connection, worker: Worker) -> None:
        """Go on with closing a connection."""
        if conn.unsent:
            self._flush(conn, worker)
        conn.proceed()
        if conn.state != LINGERING:
            return
        for _ in range(TURN):
            try:
                if conn.recv(READ_SIZE):
                    continue
            except (BlockingIOError, InterruptedError):
                if not self.draining:
                    return
            except OSError:
                pass
            break
        else:
            if monotonic() < conn.deadline and not self.draining:
                self._let_others_in(conn, worker)
                return
        conn.close()

    # -- accepting --------------------------------------------------------------------------------

    def _occupied(self) -> int:
        return len(self.connections) + len(self._handed_over)

    def _welcome(self, sock: socket.socket, peer: object) -> None:
        conn = self._connection(sock, peer, self)
        try:
            if self._ports_differ and isinstance(peer, tuple):
                conn.local = sock.getsockname()
            conn.protocol = self._factory(conn)
            conn.deadline = self.patience(self.options.header_timeout)
            self.adopt(conn)
        except Exception:
            self.log("a connection was dropped because of an error", logging.ERROR, True)
            self._forget(conn)
            conn.sock.close()

    def adopt(self, conn: Connection) -> None:
        """Wait for what happens on a connection, until :meth:`forget`."""
        self.connections[conn.fd] = conn
        self._poller.add(conn)

    def forget(self, conn: Connection) -> None:
        """Take a connection out of every set; a second time it changes nothing."""
        if conn in self._handed_over:
            self._handed_over.discard(conn)
            self.crew.take_back()
        else:
            self._forget(conn)
        if self.acceptor.full:
            self.acceptor.listen()

    def _forget(self, conn: Connection) -> None:
        if self.connections.get(conn.fd) is conn:
            self._poller.remove(conn)
            del self.connections[conn.fd]

    # -- connections that applications take over --------------------------------------------------

    def takes_over(self) -> bool:
        """Whether one more connection may be handed over."""
        return len(self._handed_over) < self.options.max_upgrades

    @contextlib.contextmanager
    def beside_the_pool(self) -> Iterator[None]:
        """Wait for a slow client, in a thread that others have no need of meanwhile."""
        if self.crew.lent >= self.options.max_upgrades:
            yield
            return
        self.crew.lend()
        try:
            yield
        finally:
            self.crew.take_back()

    def hand_over(self, conn: Connection) -> None:
        """Let go of a connection; the worker that answers it is from now on its own."""
        self._handed_over.add(conn)
        self._forget(conn)
        self.crew.lend()

    # -- for the watch ----------------------------------------------------------------------------

    @property
    def wary(self) -> bool:
        """Whether handlers have blocked lately."""
        return self._wariness.left > 0

    def relieve(self) -> None:
        """The leader is blocked: let another one lead, and expect more of the kind."""
        self._wariness.renew()
        self.promote()

    def stand_in(self) -> None:
        """All workers are blocked: poll in their place, and get more of them if that is allowed."""
        if not self.crew.stand_in():
            return
        try:
            self._poll(0)
            self._thin_out()
            if self.ready and self.crew.strength < self.options.thread_pool_max:
                self.crew.fill(self.crew.strength + 1)
        finally:
            self.promote()

    def _thin_out(self) -> None:
        """Keep what waits bounded: who sends in drips is told of again with each of them."""
        if len(self.ready) > len(self.connections) + BATCH:
            seen = set()
            for _ in range(len(self.ready)):
                with contextlib.suppress(IndexError):  # workers go on taking
                    conn = self.ready.popleft()
                    if conn not in seen:
                        seen.add(conn)
                        self.ready.append(conn)

    def set_going(self) -> None:
        """Wake somebody if connections wait although a worker is free.

        A leader that was replaced while it polled may leave some behind.
        """
        if not self.crew.wake():
            self._poller.wake()
