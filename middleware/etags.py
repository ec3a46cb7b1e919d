"""Entity tags for any application, and answers to conditional requests from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from webob import Request, Response
from webob.exc import HTTPPreconditionFailed

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.conditional import is_conditional, not_modified, precondition
from cptoolkit.middleware.layer import Layer

logger = logging.getLogger("cptoolkit.etags")

DONE = "cptoolkit.etags_validated"
"""Where in the environ it says that the preconditions have been looked at already."""

MOST_BYTES = 1024 * 1024
"""The longest body that is collected for a tag."""


@dataclass(kw_only=True, eq=False)
class ETags(Layer):
    """Answer 304 where the client has the representation already, 412 where a precondition fails.

    The application's own ``ETag`` and ``Last-Modified`` are what is compared (RFC 9110, section
    13.2.2). Only answers with a 2xx status are looked at, and those to GET and HEAD alone spare
    the client something: whether another method may change what it is about to change has to be
    asked before, with :func:`cptoolkit.static_functions.validate_etags` for instance.
    """

    autotags: bool = False
    """Whether an answer with status 200 without a tag gets one made of its body, if that is at
    hand and not above 1 MiB. A body that is streamed is left as it is."""

    debug: bool = False
    """Whether to log what is compared, and with what result (level INFO)."""

    whole_bodies: ClassVar[bool] = True

    def after(self, request: Request, response: Response) -> Response | None:
        environ = request.environ
        conditional = is_conditional(environ)
        if not (conditional or self.autotags) or DONE in environ:
            return None
        safe = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        etag = fields.get(response.headerlist, "etag")
        if etag is None and safe and self.autotags and response.status_int == 200:
            etag = self._tagged(response)
        if not conditional or response.status[0] != "2":
            return None
        if not safe and (etag is None or response.status_int == 201):
            # What has been changed already, or was not there before, fulfils nothing any more.
            return None
        last_modified = fields.get(response.headerlist, "last-modified")
        status = precondition(environ, etag, last_modified)
        if self.debug:
            logger.info("%s: ETag %s, %s: %s", request.path_info, etag, last_modified, status)
        if status == 412:
            raise HTTPPreconditionFailed()
        return not_modified(response) if status == 304 else None

    def _tagged(self, response: Response) -> str | None:
        """The tag that a response gets for its body; None if that is not at hand.

        HEAD is answered without a body, by most applications, and gets no tag for none.
        """
        body = response.app_iter
        if not isinstance(body, list):
            # Frameworks wrap what is whole; they say its length, as they would not of a stream.
            length = fields.get(response.headerlist, "content-length") or ""
            if not (length.isascii() and length.isdigit()) or int(length) > MOST_BYTES:
                return None
            whole = bodies.collect(response)
            if len(whole) != int(length):
                return None
        else:
            whole = b"".join(body)
        if not whole:
            return None
        etag = tag_of(whole)
        fields.put(response.headerlist, "ETag", etag)
        return etag


def tag_of(body: bytes) -> str:
    """A strong entity tag made of the bytes of a representation."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'
