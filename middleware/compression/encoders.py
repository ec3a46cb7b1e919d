"""The content codings that bodies can be sent in: gzip, br and zstd (RFC 9110, section 8.4.1)."""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any, ClassVar

GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""Tells zlib to put the header and the checksum of gzip (RFC 1952) around its data."""

ZSTD_MODULE = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


class Encoder(ABC):
    """One body on its way into a coding.

    :param level: how hard to try, one of :attr:`levels`; more is smaller and slower.
    :raises ImportError: if the library of the coding is not there; says how to install it.
    """

    levels: ClassVar[range]
    """What may be chosen from."""

    @abstractmethod
    def __init__(self, level: int) -> None: ...

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take some of the body, and give what has come of it so far, which may be nothing."""

    @abstractmethod
    def flush(self) -> bytes:
        """Give what the receiver needs to have all that was fed. Costs some bytes each time."""

    @abstractmethod
    def finish(self) -> bytes:
        """Give the rest. Nothing may be fed any more."""

    def whole(self, data: bytes) -> bytes:
        """Encode a body at once; in place of all the others."""
        return self.feed(data) + self.finish()


class GzipEncoder(Encoder):
    """gzip (RFC 1952): what every client takes. The same data give the same bytes: no time is
    written into them."""

    levels = range(10)

    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class BrotliEncoder(Encoder):
    """br (RFC 7932): the smallest text. The extra ``brotli`` brings the library."""

    levels = range(12)

    def __init__(self, level: int) -> None:
        self._stream = library("brotli", "brotli").Compressor(quality=level)

    def feed(self, data: bytes) -> bytes:
        return bytes(self._stream.process(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush())

    def finish(self) -> bytes:
        return bytes(self._stream.finish())


class ZstdEncoder(Encoder):
    """zstd (RFC 8878): the fastest for its size. In Python since 3.14; before that the extra
    ``zstd`` brings the library."""

    # From 20 on it takes windows of more than the 8 MiB that clients have to take, RFC 9659.
    levels = range(1, 20)

    def __init__(self, level: int) -> None:
        self._stream = library(ZSTD_MODULE, "zstd").ZstdCompressor(level)

    def feed(self, data: bytes) -> bytes:
        return bytes(self._stream.compress(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush(self._stream.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())

    def whole(self, data: bytes) -> bytes:
        # In one step, for then it knows the size, and takes no more memory than that needs.
        return bytes(self._stream.compress(data, self._stream.FLUSH_FRAME))


ENCODERS: dict[str, type[Encoder]] = {
    "zstd": ZstdEncoder,
    "br": BrotliEncoder,
    "gzip": GzipEncoder,
}
"""Encoders by the name of their coding in Content-Encoding."""


def encoder_maker(coding: str, level: object, option: str) -> Callable[[], Encoder]:
    """What makes encoders of a coding, at one level.

    :param option: the name of the option that the level comes from, for the error.
    :raises ValueError: if there is no such level.
    :raises ImportError: if the library of the coding is not there; says how to install it.
    """
    encoder = ENCODERS[coding]
    levels = encoder.levels
    if type(level) is not int or level not in levels:
        raise ValueError(
            f"{option} must be a number from {levels[0]} to {levels[-1]}, got {level!r}"
        )
    encoder(level)  # so that a missing library is told now
    return partial(encoder, level)


@cache
def library(name: str, extra: str) -> Any:
    """A module that is there only if it has been asked for.

    :raises ImportError: if it is not; names the extra of cptoolkit that brings it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is missing: pip install 'cptoolkit[{extra}]'") from error
