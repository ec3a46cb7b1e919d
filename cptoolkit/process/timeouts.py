"""Look after requests that take too long (reference, chapter 5.5.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from cptoolkit.process.monitors import Monitor

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus


class HasCheckTimeout(Protocol):
    """A response, as far as :class:`TimeoutMonitor` is concerned."""

    def check_timeout(self) -> object:
        """Set ``timed_out`` if the time is over."""


class TimeoutMonitor(Monitor):
    """Every ``frequency`` seconds, have each active response check whether its time is over.

    Requests are followed from ``before_request`` to ``after_request`` while the bus runs. At both,
    the current response has to be the same object.
    """

    def __init__(
        self, bus: Bus, current_response: Callable[[], HasCheckTimeout], frequency: float = 60
    ) -> None:
        """Make a monitor that has yet to be subscribed.

        :param current_response: gives the response of the request that runs in the calling
            thread.
        """
        # The name is the one that the reference logs.
        super().__init__(bus, self.run, frequency, name="_TimeoutMonitor")
        self._current_response = current_response
        self._active: dict[int, HasCheckTimeout] = {}

    def start(self) -> None:
        """Start following requests."""
        self.bus.subscribe("before_request", self._enter)
        self.bus.subscribe("after_request", self._leave)
        super().start()

    start.priority = 70  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop following requests."""
        self.bus.unsubscribe("before_request", self._enter)
        self.bus.unsubscribe("after_request", self._leave)
        self._active.clear()
        super().stop()

    def run(self) -> None:
        """Check once; the thread's callback."""
        for response in list(self._active.values()):
            response.check_timeout()

    def _enter(self) -> None:
        response = self._current_response()
        self._active[id(response)] = response

    def _leave(self) -> None:
        self._active.pop(id(self._current_response()), None)
