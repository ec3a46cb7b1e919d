"""Compress what clients take compressed: with gzip alone, or with what they like best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cptoolkit.middleware.compression.base import Compression, several
from cptoolkit.middleware.compression.encoders import ENCODERS, Encoder, encoder_maker


@dataclass(kw_only=True, eq=False)
class Gzip(Compression):
    """Compress with gzip, which every client takes; see :class:`.Compression` for what and how.

    :raises ValueError: if an option is out of range, or a media type is of another form.
    """

    compress_level: int = 5
    """How hard to try, from 0, not at all, to 9."""

    # Up to some 100 bytes nothing is gained, but the page that the reference compresses is
    # "hello world!".
    min_size: int = 12
    """Bodies of fewer bytes are left as they are, unless the client has refused that."""

    def available(self) -> dict[str, Callable[[], Encoder]]:
        return {"gzip": encoder_maker("gzip", self.compress_level, "compress_level")}


@dataclass(kw_only=True, eq=False)
class Compress(Compression):
    """Compress with the coding that the client likes best; see :class:`.Compression` for what and
    how.

    :raises ValueError: if an option is out of range, or there is no such coding.
    :raises ImportError: if the library of a coding is missing; says how to install it.
    """

    encodings: str | Sequence[str] = ("zstd", "br", "gzip")
    """The codings on offer. Of those that a client likes the same, it gets the first."""

    gzip_level: int = 5
    """How hard gzip tries, from 0, not at all, to 9."""

    br_level: int = 4
    """How hard brotli tries, from 0 to 11, which takes a hundred times as long."""

    zstd_level: int = 3
    """How hard Zstandard tries, from 1 to 19."""

    mime_types: str | Sequence[str] = (
        "text/*",
        "application/*+json",
        "application/*+xml",
        "application/javascript",
        "application/json",
        "application/wasm",
        "application/xml",
        "image/svg+xml",
    )
    """Media types to compress: ``type/subtype``, ``type/*`` or ``type/*+suffix``."""

    min_size: int = 500  # less fits into one packet with the header, whatever its form
    """Bodies of fewer bytes are left as they are, unless the client has refused that."""

    def available(self) -> dict[str, Callable[[], Encoder]]:
        codings = several("encodings", self.encodings)
        for coding in codings:
            if coding not in ENCODERS:
                known = ", ".join(ENCODERS)
                raise ValueError(f"encodings must be some of {known}, got {coding!r}")
        return {
            coding: encoder_maker(coding, getattr(self, f"{coding}_level"), f"{coding}_level")
            for coding in codings
        }
