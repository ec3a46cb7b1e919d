"""What can go wrong between the server, its address and its clients.

``BindError`` and ``TLSError`` concern the operator; the others reach an application that reads
``wsgi.input`` while its client misbehaves. An application may let those travel: the server answers
with their ``status``, or hangs up when part of an answer has gone already.
"""

from __future__ import annotations


class BindError(OSError):
    """The server cannot listen: one line with the address and the reason; ``errno`` is kept."""


class TLSError(OSError):
    """TLS cannot be set up: one line with the option, the file and the reason."""


class ClientError(Exception):
    """A request that cannot be served because of its client."""

    status = "400 Bad Request"
    """Status line of the answer when the application leaves it to the server."""


class BadRequest(ClientError):
    """The bytes of the request are not HTTP/1.1, or may be read in two ways."""


class BodyTooLarge(ClientError):
    """The body is longer than ``max_request_body_size``."""

    status = "413 Content Too Large"


class BodyTimeout(ClientError, TimeoutError):
    """The client sent nothing for ``socket_timeout`` seconds in the middle of a body, or less than
    ``body_rate``."""

    status = "408 Request Timeout"


class Disconnected(ClientError, ConnectionError):
    """The client has gone, or took nothing of the answer for ``socket_timeout`` seconds."""


class URITooLong(ClientError):
    """The request target is longer than ``max_request_line_size``."""

    status = "414 URI Too Long"


class HeadTooLong(ClientError):
    """The fields are longer than ``max_request_header_size``."""

    status = "431 Request Header Fields Too Large"
