"""From the path of a URL to a file below a directory, and never to one beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])[ ]*(?:[.:].*)?", re.I | re.S
)
"""Names that mean a device in every directory, whatever their extension (Windows)."""


def segments_of(path: str) -> list[str] | None:
    """The segments of a ``PATH_INFO``, decoded as file names are, less the empty ones.

    :returns: None if no WSGI host could have meant it (PEP 3333: text of ISO-8859-1).
    """
    if not path.isascii():
        try:
            path = os.fsdecode(path.encode("latin-1"))
        except UnicodeError:
            return None
    return [segment for segment in path.split("/") if segment]


def path_of(segments: Iterable[str]) -> str:
    """The ``PATH_INFO`` of segments, which :func:`segments_of` takes apart again."""
    return os.fsencode("".join([f"/{segment}" for segment in segments])).decode("latin-1")


def is_plain(segment: str, *, dotfiles: bool = False, windows: bool = os.name == "nt") -> bool:
    """Whether a segment of a path can be nothing but the name of one file or directory.

    :param dotfiles: whether it may begin with a dot.
    :param windows: whether it must not be what Windows takes for something else: a drive, a
        stream, a device, a name less the dots and blanks at its end.
    """
    if segment in ("", ".", "..") or "\0" in segment or "/" in segment or "\\" in segment:
        return False
    if segment[0] == "." and not dotfiles:
        return False
    return not (
        windows
        and (":" in segment or segment[-1] in ". " or _DEVICE.fullmatch(segment) is not None)
    )


def is_inside(path: str, folder: str) -> bool:
    """Whether a file is below a directory, once all links on the way to either are followed.

    Whole components are compared: ``/srv/static-private`` is not inside of ``/srv/static``.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def absolute(option: str, path: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> str:
    """The absolute path that an option means.

    :param option: its name.
    :param path: its value; ``~`` is the home directory.
    :param root: what the value is relative to, if it is relative.
    :raises ValueError: if that does not make an absolute path.
    """
    if not path and not (option == "dir" and root):  # the root itself
        raise ValueError(f"{option} must be a path, got {path!r}")
    full = os.path.join(os.path.expanduser(root or ""), os.path.expanduser(path))
    if not os.path.isabs(full):
        raise ValueError(
            f"{option} must be an absolute path, or relative to a root that is absolute; "
            f"got {option}={os.fspath(path)!r}, root={os.fspath(root or '')!r}"
        )
    return os.path.normpath(full)
