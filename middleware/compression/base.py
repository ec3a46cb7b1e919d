"""What a layer does that compresses, in whichever coding (RFC 9110, sections 8.4 and 12.5.3)."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

from webob import Request, Response
from webob.exc import HTTPNotAcceptable

from cptoolkit.middleware import bodies
from cptoolkit.middleware.compression.accept_encoding import choose
from cptoolkit.middleware.compression.encoders import Encoder
from cptoolkit.middleware.compression.media_patterns import media_patterns
from cptoolkit.middleware.fields import Fields, add_vary, joined, put, remove
from cptoolkit.middleware.layer import Layer

log = logging.getLogger("cptoolkit.compress")

WITHOUT_CONTENT = frozenset({"204", "205"})

STALE_FIELDS = (
    "accept-ranges",  # a range of this form cannot be had
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
)
"""What a response said of its body, and is not so any more when that is compressed."""


@dataclass(kw_only=True, eq=False)
class Compression(Layer, ABC):
    """Compresses, with what a subclass has.

    A whole body is compressed whole, a stream item by item: each is on its way before the next is
    drawn, also one of ``text/event-stream``. Left alone are bodies of other media types, short
    ones, those that are encoded already, parts of a representation (206), and those whose
    ``Cache-Control`` says ``no-transform``.

    ``Vary: Accept-Encoding`` is sent with every response of these media types. The ``ETag`` of a
    compressed one is made weak, as it has the same content in other bytes: to ``If-None-Match``
    that makes no difference, but ``If-Match`` and ``If-Range`` do not know it any more.

    A client that takes none of the codings gets the body as it is; 406 if it has refused that too,
    with ``identity;q=0`` or ``*;q=0``, and has asked with GET or HEAD.

    Do not compress pages that show a secret, such as a token against forged requests, beside
    something that another site can make the client send: the length tells the secret bit by bit
    (the attack is called BREACH).
    """

    whole_bodies: ClassVar[bool] = True

    mime_types: str | Sequence[str] = ("text/html", "text/plain")
    """Media types to compress: ``type/subtype``, ``type/*`` or ``type/*+suffix``."""

    min_size: int = 0
    """Bodies of fewer bytes are left as they are, unless the client has refused that."""

    debug: bool = False
    """Whether to log what was done to each response, and why (level INFO)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.min_size) is not int or self.min_size < 0:
            raise ValueError(f"min_size must be 0 or more bytes, got {self.min_size!r}")
        self._is_compressible = lru_cache(maxsize=128)(
            media_patterns(several("mime_types", self.mime_types)).match
        )
        self._encoders = self.available()
        self._codings = tuple(self._encoders)

    @abstractmethod
    def available(self) -> dict[str, Callable[[], Encoder]]:
        """Makers of encoders by coding, the server's favourite first."""

    def after(self, request: Request, response: Response) -> None:
        outcome = self._compress(request, response)
        if self.debug:
            log.info("%s %s: %s", request.method, request.path, outcome)

    def _compress(self, request: Request, response: Response) -> str:
        """Compress a response if it should be.

        :returns: what was done, in words.
        :raises HTTPNotAcceptable: if the client takes it neither so nor so.
        """
        fields = response.headerlist
        said = {name.lower(): value for name, value in fields}
        status = response.status[:3]
        media = said.get("content-type")
        is_ours = media is not None and self._is_compressible(media)

        if status == "304" and (is_ours or media is None):
            return _revalidate(request, fields, said)
        if not is_ours:
            return "not compressed: its media type is none of mime_types"
        if status in WITHOUT_CONTENT or status[0] == "1":
            return "not compressed: has no content"
        if "content-encoding" in said:
            return "not compressed: is encoded already"
        if "cache-control" in said and "no-transform" in joined(fields, "cache-control").lower():
            return "not compressed: the application says no-transform"
        _vary(fields, said)
        if status == "206" or "content-range" in said:
            return "not compressed: is a part of something"

        field = request.environ.get("HTTP_ACCEPT_ENCODING", "")
        coding, identity = choose(field, self._codings)
        method = request.environ["REQUEST_METHOD"]
        if coding is None:
            # What another method has done cannot be taken back by a refusal.
            if not identity and status[0] == "2" and method in ("GET", "HEAD"):
                offers = ", ".join(["identity", *self._codings])
                raise HTTPNotAcceptable(offers, headers=[("Vary", "Accept-Encoding")])
            return "not compressed: the client takes none of the codings, or rather none"
        return self._encode(response, said, coding, must=not identity)

    def _encode(self, response: Response, said: dict[str, str], coding: str, must: bool) -> str:
        """Put the body into a coding, unless it is too short; ``must``: even then.

        :returns: what was done, in words.
        """
        fields = response.headerlist
        body = response.app_iter
        length = _length(said)
        whole = b"".join(body) if type(body) in (list, tuple) else None
        if whole is not None:
            length = len(whole) or length or 0  # to HEAD, only the field may tell it
        if length == 0 or (length is not None and length < self.min_size and not must):
            return "not compressed: is too short"

        encoder = self._encoders[coding]()
        packed = b""
        if whole is None:
            items = iter(body)
            # Frameworks wrap what is whole too: it is known by its length.
            first = b"" if length is None else next(items, b"")
            if first and len(first) == length:
                packed = encoder.whole(first)
                response.app_iter = _Body(chain((packed,), items), body)
            else:
                rest = chain((first,), items) if first else items
                response.app_iter = _Body(_stream(rest, encoder), body)
                # An Application would collect what has lost its length: a big file, say.
                response.stream = True  # type: ignore[attr-defined]
        elif whole:
            packed = encoder.whole(whole)
            response.app_iter = [packed]
        remove(fields, *STALE_FIELDS)
        fields.append(("Content-Encoding", coding))
        if packed:
            fields.append(("Content-Length", str(len(packed))))
        if "etag" in said:
            put(fields, "ETag", _weak(said["etag"]))
        return f"compressed with {coding}"


def several(option: str, value: object) -> list[Any]:
    """The values of an option that takes one, or several in a list.

    :raises TypeError: if it is neither.
    :raises ValueError: if the list is empty.
    """
    if not isinstance(value, (str, Sequence)):
        raise TypeError(f"{option} must be a str or several in a list, got {value!r}")
    several = [value] if isinstance(value, str) else list(value)
    if not several:
        raise ValueError(f"{option} must be one at least, got an empty list")
    return several


def _length(said: dict[str, str]) -> int | None:
    """What Content-Length tells; None if there is none."""
    length = said.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _vary(fields: Fields, said: dict[str, str]) -> None:
    if "vary" in said:
        add_vary(fields, "Accept-Encoding")
    else:
        fields.append(("Vary", "Accept-Encoding"))


def _weak(etag: str) -> str:
    return etag if etag.startswith("W/") else f"W/{etag}"


def _revalidate(request: Request, fields: Fields, said: dict[str, str]) -> str:
    """Make a 304 look like the 200 that the client has (RFC 9110, section 15.4.5).

    Whether we had compressed that, and made its ETag weak, is seen by the field that sends it back.
    """
    _vary(fields, said)
    etag = said.get("etag", "")
    if etag.startswith('"') and _weak(etag) in request.environ.get("HTTP_IF_NONE_MATCH", ""):
        put(fields, "ETag", _weak(etag))
    return "not compressed: has not been modified"


def _stream(items: Iterable[bytes], encoder: Encoder) -> Iterator[bytes]:
    for item in items:
        yield encoder.feed(item) + encoder.flush() if item else b""
    yield encoder.finish()


class _Body:
    """What goes out in place of another body, which is closed with it.

    :param blocks: is let go of on closing, and the encoder in it.
    """

    __slots__ = ("_blocks", "_replaced")

    def __init__(self, blocks: Iterator[bytes], replaced: Any) -> None:
        self._blocks = blocks
        self._replaced = replaced

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        replaced, self._replaced, self._blocks = self._replaced, None, iter(())
        bodies.close(replaced)
