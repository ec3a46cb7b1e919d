"""What SCGI and FastCGI share: requests as CGI variables, answers with a ``Status`` line.

Both are those of RFC 3875. The web server in front is trusted with what it says: it has parsed the
request, and knows the client. It is not trusted to say it in a form that no application could
misread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from cptoolkit.servers.errors import BadRequest
from cptoolkit.servers.exchange import Exchange

if TYPE_CHECKING:
    from cptoolkit.servers.wsgi import Environ, WSGIGateway

Variables = dict[str, str]

_NAME = re.compile(r"[A-Za-z0-9_]+")  # no dot: such keys of the environ are not the client's
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 9.1
_LENGTH = re.compile(r"[0-9]{1,18}")

_DROPPED = {
    # Programs started with these variables would take their proxy from a client's field "Proxy",
    # see https://httpoxy.org.
    "HTTP_PROXY",
    # Without the prefix they are variables of their own (RFC 3875, section 4.1.18).
    "HTTP_CONTENT_TYPE",
}

_MAY_BE_EMPTY = {"SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"}


def variables(pairs: Iterable[tuple[bytes, bytes]]) -> Variables:
    """Return CGI variables by name.

    Fields that were repeated are joined (RFC 9110, section 5.3); of all others that come again the
    last counts, as a web server's config that includes defaults first expects. Empty ones are left
    out, since with web servers they mean "not set".

    :raises BadRequest: if there are two different lengths, or a length or method that is none.
    """
    found: Variables = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        is_field = name.startswith("HTTP_")
        if name in _DROPPED or _NAME.fullmatch(name) is None:
            continue
        if is_field and name in found:
            # RFC 6265, section 5.4 for cookies.
            found[name] += ("; " if name == "HTTP_COOKIE" else ", ") + value
        elif name == "CONTENT_LENGTH" and value:
            if _LENGTH.fullmatch(value) is None:
                raise BadRequest(f"CONTENT_LENGTH is {value!r}, and should be digits.")
            if int(found.get(name, value)) != int(value):
                raise BadRequest("There are two different CONTENT_LENGTH.")
            found[name] = value
        elif value or is_field or name in _MAY_BE_EMPTY:
            found[name] = value
    length, sent = found.get("CONTENT_LENGTH"), found.pop("HTTP_CONTENT_LENGTH", None)
    if length is not None:
        found.pop("HTTP_TRANSFER_ENCODING", None)  # the web server has decoded it
        if sent is not None and (not _LENGTH.fullmatch(sent) or int(sent) != int(length)):
            # As nginx has it when it does not buffer a request before it speaks SCGI.
            raise BadRequest(
                f"CONTENT_LENGTH is {length}, but the client's Content-Length is {sent}."
                " Does the web server buffer requests (scgi_request_buffering in nginx)?"
            )
    if _METHOD.fullmatch(found.get("REQUEST_METHOD", "")) is None:
        raise BadRequest("There is no REQUEST_METHOD.")
    return found


def paths(found: Variables) -> tuple[str, str]:
    """Return the mount point and the path below it, SCRIPT_NAME and PATH_INFO of PEP 3333.

    Web servers that know nothing of mount points send the whole path as SCRIPT_NAME, without
    PATH_INFO or the same in both; nginx does with the files of parameters that come with it.
    """
    script_name, path = found.get("SCRIPT_NAME", ""), found.get("PATH_INFO")
    if path is None:
        script_name, path = "", script_name or found.get("DOCUMENT_URI", "") or _path_of(found)
    elif script_name == path == found.get("DOCUMENT_URI"):
        script_name = ""
    if path and not path.startswith("/"):
        path = f"/{path}"
    return script_name.rstrip("/"), path


def _path_of(found: Variables) -> str:
    target = found.get("REQUEST_URI", "").partition("?")[0]
    return unquote_to_bytes(target.encode("latin-1")).decode("latin-1")


class CGIExchange(Exchange):
    """An exchange with a client behind a web server, which does the framing towards it."""

    gateway: WSGIGateway
    variables: Variables
    """What the web server has told."""

    def environ(self) -> Environ:
        """Return what an application is told of the request (PEP 3333)."""
        found = self.variables
        script_name, path = paths(found)
        environ: Environ = self.gateway.template.copy()
        environ.update(
            {
                "QUERY_STRING": "",
                "REMOTE_ADDR": "",
                "REMOTE_PORT": "",
                "SERVER_PROTOCOL": "HTTP/1.1",
                **found,
                "SCRIPT_NAME": script_name,
                "PATH_INFO": path,
                "wsgi.input": self.body,
            }
        )
        uri = found.get("REQUEST_URI")
        if uri is None:
            query = environ["QUERY_STRING"]
            uri = quote((script_name + path).encode("latin-1")) + (f"?{query}" if query else "")
        environ["REQUEST_URI"] = environ["RAW_URI"] = uri
        https = found.get("HTTPS", "").lower() in ("on", "1")
        if https or found.get("REQUEST_SCHEME", "").lower() == "https":
            environ["wsgi.url_scheme"] = "https"
        return environ

    def start(self, status: str, headers: list[tuple[str, str]]) -> None:
        # PEP 3333 forbids a field of this name, which the web server would take for ours.
        super().start(status, [pair for pair in headers if pair[0].lower() != "status"])

    def respond(self, data: bytes) -> None:
        if self._promised < 0 and (data or self.method != "HEAD"):
            self._promised = len(data)
        self.write(data)
        self.finish()

    def abort(self) -> None:
        self.keep_alive = False
        if self.head_sent:
            self.broken = True
            self.conn.break_off()  # the end of the connection would be taken for that of the answer
        self.finished = True

    def _head(self) -> bytes:
        """Return status and fields (RFC 3875, section 6.2.1)."""
        fields, length = self._fields, self._promised
        self._bodyless = fields.contentless or self.method == "HEAD"
        framing = ""
        if fields.status.startswith("205"):
            framing = "\r\nContent-Length: 0"  # RFC 9110, section 15.3.6
        elif length >= 0 and not (fields.contentless and fields.status.startswith("204")):
            framing = f"\r\nContent-Length: {length}"
        if self.conn.engine.draining:
            self.keep_alive = False
        return f"Status: {fields.status}{fields.lines}{framing}\r\n\r\n".encode("latin-1")
