"""A request body on its way in: kept in memory, in a file, or streamed to the application."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from cptoolkit.servers.errors import BodyTimeout, ClientError
from cptoolkit.servers.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from cptoolkit.servers.body import Body
    from cptoolkit.servers.connection import Connection
    from cptoolkit.servers.exchange import Site


class NoRoom(ClientError):
    """The disk does not take a body that has to be collected."""

    status = "507 Insufficient Storage"


class Intake:
    """One body that has not come at once, from the first wait for it on."""

    def __init__(self, body: Body, conn: Connection, site: Site) -> None:
        self.streamed = False
        """Whether the application is to read the rest as it comes."""
        self._body = body
        self._conn = conn
        self._site = site
        self._pace = Pace(site.options)
        self._began = 0.0  # when it was first waited for

    def collect(self) -> bool:
        """Take note of what has come, and tell whether a thread should see to it.

        That is because the application can be called, or because a slow client's body has to go
        to the disk, which may block: :meth:`settle` knows. Until then the client has a deadline.
        """
        now, body, options = monotonic(), self._body, self._site.options
        self._began = self._began or now  # so that what has come with the head came fast
        self._pace.waited = now - self._began
        self._conn.deadline = now + self._pace.patience(body.received)
        if body.buffered < options.request_body_buffer:
            return False
        self.streamed = not body.spilled and self._pace.is_fast(body.received)
        return True

    def settle(self) -> bool:
        """Tell whether the application can be called, after the body was put in order.

        :raises NoRoom: if the disk is full.
        """
        body, site = self._body, self._site
        if not self.streamed and (body.spilled or not body.complete):
            try:
                body.spill()
            except OSError as exc:
                if not site.disk_failed:
                    site.disk_failed = True
                    what = f"request bodies cannot be kept in a temporary file: {exc}"
                    site.log(what, logging.ERROR, False)
                raise NoRoom("There is no room for the body.") from exc
            site.disk_failed = False
        return self.streamed or body.complete

    def pull(self, feed: Callable[[bytes], None]) -> None:
        """Wait for more of a body that an application is reading, and hand it to the protocol.

        :raises ClientError: if the client has gone, or is too slow.
        """
        began = monotonic()
        data = self._conn.receive()
        self._pace.waited += monotonic() - began
        feed(data)
        if not self._body.complete and self._pace.patience(self._body.received) < 0:
            raise BodyTimeout("the client sends its request too slowly")
