"""Functions called again and again, in a thread that lives as long as the bus runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cptoolkit.process.channels import ERROR
from cptoolkit.process.simple import SimplePlugin

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

JOIN_SECONDS = 1.0  # what a call under way gets to finish; its thread is a daemon


class PerpetualTimer(threading.Timer):
    """A ``threading.Timer`` that repeats until it is cancelled; unlike a daemon it holds the
    process.

    The first error ends it, after it has been logged, lest it flood the log.
    """

    def __init__(
        self,
        interval: float,
        function: Callable[..., Any],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        bus: Bus | None = None,
    ) -> None:
        """Make a thread that has yet to be started.

        :param interval: seconds before each call.
        :param bus: where an error is logged.
        """
        super().__init__(interval, function, args, dict(kwargs or {}))
        self.bus = bus

    def run(self) -> None:
        """Call the function until :meth:`cancel`."""
        _repeat(self.finished, self, "perpetual timer", self.bus)


class BackgroundTask(threading.Thread):
    """A daemon thread that calls a function again and again.

    The first error ends it, after it has been logged, lest it flood the log.
    """

    def __init__(
        self,
        interval: float,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        bus: Bus | None = None,
    ) -> None:
        """Make a thread that has yet to be started.

        :param interval: seconds before each call.
        :param bus: where an error is logged.
        """
        super().__init__(daemon=True)
        self.interval = interval
        self.function = function
        self.args = args
        self.kwargs = dict(kwargs or {})
        self.bus = bus
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Call the function no more; a call under way goes on to its end."""
        self._cancelled.set()

    def run(self) -> None:
        """Call the function until :meth:`cancel`."""
        _repeat(self._cancelled, self, "background task", self.bus)


class Monitor(SimplePlugin):
    """Call ``callback`` every ``frequency`` seconds, in a thread of its own, while the bus runs.

    Each start looks for the thread anew: one that died, be it in a fork, is replaced.
    """

    callback: Callable[[], Any]
    """What to call."""

    frequency: float = 60
    """Seconds between calls; with 0 or less there are none, and no thread."""

    thread: BackgroundTask | None = None
    """The thread, while there is one."""

    def __init__(
        self,
        bus: Bus,
        callback: Callable[[], Any],
        frequency: float = 60,
        name: str | None = None,
    ) -> None:
        """Make a monitor that has yet to be subscribed.

        :param name: of the thread; the class's name if None.
        :raises TypeError: if the callback cannot be called.
        """
        super().__init__(bus)
        if not callable(callback):
            raise TypeError(f"callback must be callable, got {callback!r}")
        self.callback = callback
        self.frequency = frequency
        self.name = name

    def start(self) -> None:
        """Start the thread if it does not run."""
        if self.frequency <= 0:
            return
        name = self.name or type(self).__name__
        if self.thread is not None and self.thread.is_alive():
            self.bus.log(f"Monitor thread {name!r} already started.")
            return
        self.thread = BackgroundTask(self.frequency, self.callback, bus=self.bus)
        self.thread.name = name
        self.thread.start()
        self.bus.log(f"Started monitor thread {name!r}.")

    # After a daemon has forked (65), before the server takes requests (75).
    start.priority = 70  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the thread. A call under way is waited for, but not for long."""
        thread, self.thread = self.thread, None
        if thread is None:
            self.bus.log(f"No thread running for {self.name or type(self).__name__}.")
            return
        thread.cancel()
        if thread is not threading.current_thread() and thread.is_alive():
            thread.join(JOIN_SECONDS)
        self.bus.log(f"Stopped thread {thread.name!r}.")

    def graceful(self) -> None:
        """Stop and start again, which makes a new ``frequency`` count."""
        self.stop()
        self.start()

    def unsubscribe(self) -> None:
        """Listen no longer; nobody would stop a running thread then, so it is stopped now."""
        super().unsubscribe()
        if self.thread is not None:
            self.stop()


def _repeat(cancelled: threading.Event, task: Any, description: str, bus: Bus | None) -> None:
    while not cancelled.wait(task.interval):
        try:
            task.function(*task.args, **task.kwargs)
        except Exception:
            if bus is not None:
                bus.log(
                    f"Error in {description} thread function {task.function!r}.",
                    ERROR,
                    traceback=True,
                )
            raise
