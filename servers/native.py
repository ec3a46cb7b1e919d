"""The native gateway: an exchange answered by a function call, without WSGI in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cptoolkit.servers.exchange import Exchange
from cptoolkit.servers.wsgi import Environ, WSGIExchange, WSGIGateway

Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]
"""Status, fields, and the blocks of the body, which are closed if they have ``close``."""

NativeApplication = Callable[[Environ], Answer]
"""What ``app`` is here: it gets the environ of PEP 3333, and returns the answer."""


class NativeGateway(WSGIGateway):
    """What is the same for all requests to a :data:`NativeApplication`."""

    def exchange(self, *framing: type[Exchange]) -> type[Exchange]:
        members = {"gateway": self, "respond_to": staticmethod(self.app)}
        bases: Any = (*framing, _NativeExchange)
        return type("NativeExchange", bases, members)


class _NativeExchange(WSGIExchange):
    """An exchange that is answered by calling such an application."""

    respond_to: NativeApplication

    def answer(self) -> None:
        try:
            status, headers, blocks = self.respond_to(self.environ())
            if self.taken_over is not None:
                _close(blocks)
                return
            try:
                self.start(status, headers)
            except BaseException:
                _close(blocks)
                raise
            if type(blocks) is list:
                self._send_all(blocks)
            else:
                self._send_each(blocks)
        except BaseException as exc:
            self.fail(exc)


def _close(blocks: Iterable[bytes]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        close()
