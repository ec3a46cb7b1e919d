"""How fast a client sends a body, and whether that is fast enough."""

from __future__ import annotations

from cptoolkit.servers.connection import NEVER
from cptoolkit.servers.options import Options


class Pace:
    """The pace at which one body comes.

    Only the time counts that was spent waiting for the client. While an application is at work, its
    client cannot but wait, too.
    """

    __slots__ = ("_options", "waited")

    def __init__(self, options: Options) -> None:
        self._options = options
        self.waited = 0.0
        """Seconds that the client was waited for."""

    def patience(self, received: int) -> float:
        """Return the seconds that the client has before it is given up; negative if it is too late.

        :param received: how many bytes of the body have come.
        """
        timeout, rate = self._options.socket_timeout, self._options.body_rate
        if not timeout:
            return NEVER
        if not rate:
            return timeout
        return min(timeout, timeout + received / rate - self.waited)

    def is_fast(self, received: int) -> bool:
        """Whether a thread may wait for the rest of the body."""
        return received >= self._options.stream_rate * self.waited
