"""A part of an open file on its way to a client."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

BLOCK_SIZE = 64 * 1024
"""Bytes read at once where the kernel does not send the file by itself."""

_NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What sendfile(2) says of files that it cannot send; some file systems have no others."""


class FilePiece:
    """Bytes of an open file that are to be sent.

    :param descriptor: of a regular file; :meth:`close` closes it.
    """

    __slots__ = ("_by_kernel", "_descriptor", "_offset", "left")

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._by_kernel = True
        self.left = size

    def send_by_kernel(self, fd: int, send: Callable[[bytes], int], most: int) -> None:
        """Send up to ``most`` bytes to the socket ``fd``, or with ``send`` if the kernel cannot.

        :raises EOFError: if the file has become shorter.
        :raises OSError: if nothing can be sent, now or at all.
        """
        if self._by_kernel:
            try:
                self._advance(os.sendfile(fd, self._descriptor, self._offset, most))
                return
            except OSError as exc:
                if exc.errno not in _NO_SENDFILE:
                    raise
                self._by_kernel = False
        self.send_with(send, most)

    def send_with(self, send: Callable[[bytes], int], most: int) -> None:
        """Send up to ``most`` bytes with ``send``.

        :raises EOFError: if the file has become shorter.
        :raises OSError: if nothing can be sent, now or at all.
        """
        data = os.pread(self._descriptor, min(most, BLOCK_SIZE), self._offset)
        self._advance(send(data) if data else 0)

    def _advance(self, size: int) -> None:
        if not size:
            raise EOFError(f"the file ends {self.left} bytes too early")
        self._offset += size
        self.left -= size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
