"""What ``cherrypy.lib`` offers programs besides its modules."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isgenerator
from typing import TYPE_CHECKING, Any

from cptoolkit.http.response import BLOCK_SIZE, FileIterator
from cptoolkit.middleware.fields import add_vary

if TYPE_CHECKING:
    import webob

file_generator = FileIterator
"""An open file as a body: ``file_generator(file, block_size)``, closed when it is at its end."""


def file_generator_limited(file: Any, count: int, chunk_size: int = BLOCK_SIZE) -> Iterator[bytes]:
    """A part of an open file as a body.

    :param count: bytes at most.
    :param chunk_size: bytes read at a time.
    """
    while count > 0:
        block = file.read(min(chunk_size, count))
        if not block:
            return
        count -= len(block)
        yield block


def set_vary_header(response: webob.Response, header_name: str) -> None:
    """Say that a response depends on a field of the request (RFC 9110, section 12.5.5)."""
    add_vary(response.headerlist, header_name)


def is_iterator(value: Any) -> bool:
    """Whether a value is an iterator: a generator, or what gives itself when iterated over."""
    return isgenerator(value) or (hasattr(value, "__iter__") and iter(value) is value)


def is_closable_iterator(value: object) -> bool:
    """Whether a value is an iterator that is to be closed after use."""
    return is_iterator(value) and callable(getattr(value, "close", None))
