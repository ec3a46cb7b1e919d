"""What goes on beside a test: threads, and programs in processes of their own."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

PATIENCE = 45.0
"""Seconds after which something will not happen any more; only a failure uses them up."""


@contextlib.contextmanager
def in_threads(
    *functions: Callable[[], Any], stop: Callable[[], Any] = lambda: None
) -> Iterator[list[threading.Thread]]:
    """Run functions, each in a thread of its own, which ends with the block, even if that fails.

    :param stop: makes the functions return; called when the block ends.
    """
    # Daemons: one that hangs fails its own test, and neither the bus nor Python waits for it.
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    try:
        for thread in threads:
            thread.start()
        yield threads
    finally:
        stop()
        for thread in threads:
            thread.join(PATIENCE)
    hanging = [thread.name for thread in threads if thread.is_alive()]
    assert not hanging, f"still running: {', '.join(hanging)}"


def at_once(*functions: Callable[[], Any]) -> None:
    """Run functions, each in a thread of its own, and return when all have returned."""
    with in_threads(*functions):
        """They end by themselves."""


def wait_until(condition: Callable[[], Any]) -> None:
    """Return once ``condition()`` is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def rests() -> bool:
    """Whether this process does next to nothing for a while; one that spins never rests."""
    began = time.process_time()
    time.sleep(0.1)
    return time.process_time() - began < 0.03


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given meanwhile.

    The system, asked for any port, begins at 32768. What it names may be another's a moment later.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Program:
    """A program in another process, and what it prints.

    :param command: its command line.
    :param env: more of the environment.
    :param options: more for :class:`subprocess.Popen`.
    """

    def __init__(
        self,
        command: Iterable[Any],
        folder: Any,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, **options},
        )
        self.pid = self.process.pid
        self.output: list[str] = []
        """The lines that have been read."""
        self._arriving: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def wait_for(self, text: str) -> str:
        """The next line that has the text."""
        for line in self._lines():
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came, only {self.output}")

    def rest(self) -> list[str]:
        """All lines, once the output has ended."""
        for _ in self._lines():
            pass
        return self.output

    def _lines(self) -> Iterator[str]:
        while (line := self._next()) is not None:
            self.output.append(line)
            yield line
        self._arriving.put(None)  # the end is there for whoever reads on, too

    def _next(self) -> str | None:
        try:
            return self._arriving.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"nothing more came after {self.output}") from None

    def said(self) -> list[str]:
        """The lines that have come by now."""
        return [*self.output, *filter(None, self._arriving.queue)]

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """The exit status after a signal."""
        self.send(signum)
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """The exit status, once the process and its output have ended."""
        status = self.process.wait(PATIENCE)
        self.rest()
        return status

    def close(self) -> None:
        """End it and all that it has started, but for daemons."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._reader.join(1)  # a daemon may still hold the other end of its output
