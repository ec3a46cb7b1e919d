"""What is known of a request and its response when they are over."""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_PATH_SAFE = "/!$&'()*+,;=:@~"  # RFC 3986, section 3.3: what a path may have beside "unreserved"


class Exchange:
    """A request, and what came of it.

    Texts of the client's are as PEP 3333 has them: bytes decoded as ISO-8859-1, of any content.
    """

    __slots__ = (
        "_began",
        "_path",
        "answered",
        "complete",
        "duration",
        "environ",
        "error",
        "method",
        "sent",
        "status",
        "time",
    )

    def __init__(self, environ: WSGIEnvironment) -> None:
        # What is within may change these two: they are kept as they came.
        self.method: str = environ["REQUEST_METHOD"]
        self._path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.environ = environ
        """The environ (PEP 3333), as layers and applications within have left it."""
        self.time: float = time()
        """When the request came, in seconds since the epoch."""
        self._began: float = perf_counter()
        self.duration: float = 0.0
        """Seconds from the request to the end of the response."""
        self.status: int = 500
        """The status that was sent, or 500 if an exception has gone to the host instead."""
        self.sent: int = 0
        """Bytes of the body that the host has taken."""
        self.answered: bool = False
        """Whether there was a response at all: not where an internal redirect went on."""
        self.complete: bool = False
        """Whether the body was taken to its end."""
        self.error: BaseException | None = None
        """The exception that ended the exchange, if one did."""

    def end(self) -> None:
        """Take the time."""
        self.duration = perf_counter() - self._began

    @property
    def path(self) -> str:
        """The path from the root of the site, percent-encoded."""
        return quote(self._path, safe=_PATH_SAFE, encoding="latin-1", errors="replace")

    @property
    def target(self) -> str:
        """What was asked for (RFC 9112, section 3.2), as it was sent if the host tells."""
        environ = self.environ
        uri: str = environ.get("REQUEST_URI") or environ.get("RAW_URI", "")
        if uri:
            return uri
        query = environ.get("QUERY_STRING", "")
        return f"{self.path}?{query}" if query else self.path

    @property
    def request_line(self) -> str:
        """Method, target and protocol."""
        protocol = self.environ.get("SERVER_PROTOCOL", "HTTP/1.0")
        return f"{self.method} {self.target} {protocol}"

    @property
    def client(self) -> str:
        """The client's address; "" if the host has none, as behind a Unix socket."""
        address: str = self.environ.get("REMOTE_ADDR", "")
        return address

    @property
    def user(self) -> str:
        """The name that the client has proven, "" for none."""
        return str(self.environ.get("REMOTE_USER") or "")

    @property
    def request_id(self) -> str:
        """What the layer RequestID within, or around, has called the request; "" for none."""
        return str(self.environ.get("cptoolkit.request_id", ""))

    def header(self, name: str) -> str:
        """The value of a field of the request; "" if it was not there."""
        value: str = self.environ.get("HTTP_" + name.upper().replace("-", "_"), "")
        return value

    @property
    def aborted(self) -> bool:
        """Whether the client, or the host, has left before the end of the body."""
        return not self.complete and self.error is None
