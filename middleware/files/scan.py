"""A folder that is read once: all of its files by the paths of their URLs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterator

from cptoolkit.middleware.files.answers import SMALL
from cptoolkit.middleware.files.cache import MOST_BYTES, StoredFile
from cptoolkit.middleware.files.paths import is_plain, path_of

logger = logging.getLogger("cptoolkit.static")


class ScannedFiles(dict[Hashable, StoredFile | None]):
    """Files by the path of their URL, to be sent without another look at the disk.

    Takes the place of a :class:`~cptoolkit.middleware.files.cache.FileCache`. Keys are paths as
    they stand in ``PATH_INFO``; None is the value for a folder that has an index, without the
    slash at its end.
    """

    def is_folder(self, key: Hashable) -> bool:
        """Whether a path lacks but the slash at its end to mean the index of a folder."""
        return key in self and self[key] is None

    def put(self, key: Hashable, file: StoredFile) -> None:
        """Store a file."""
        self[key] = file

    def drop(self, key: Hashable) -> None:
        """Forget a file that is not what it was, if it is stored under a key."""
        file = self.pop(key, None)
        if file is not None:
            logger.warning(
                "StaticDir: %r has changed since the directory was read, and is not sent any more",
                file.original.path,
            )


def scan(
    folder: str,
    url: str,
    *,
    make: Callable[[str, str, int], StoredFile | None],
    is_allowed: Callable[[str], bool],
    tell: Callable[[OSError], None],
    index: str = "",
    dotfiles: bool = False,
) -> ScannedFiles:
    """Read a folder and all below it, also what links lead to.

    :param url: the path of the folder's URL, without a slash at its end.
    :param make: called with the path of a URL, that of a file, and how many bytes it may have to
        be kept in memory; gives None for a URL that is not wanted, and raises OSError for a file
        that cannot be read.
    :param is_allowed: asked whether a file or folder may be sent, by its path.
    :param tell: called with what keeps a file or folder from being read.
    :param index: the name of the file that is sent for a folder.
    :param dotfiles: whether names that begin with a dot are there.
    """
    files = ScannedFiles()
    left = MOST_BYTES

    def add(key: str, path: str) -> None:
        nonlocal left
        try:
            stored = make(key, path, min(SMALL, left))
        except OSError as error:
            tell(error)
            return
        if stored is not None:
            files.put(key, stored)
            left = max(left - stored.weight, 0)

    for here, path, found in _walk(folder, url, is_allowed, dotfiles, tell):
        for key, file in found:
            add(key, file)
        start = os.path.join(path, index)
        if index and os.path.isfile(start) and is_allowed(start):
            files[here] = None
            add(f"{here}/", start)
    return files


def _walk(
    folder: str,
    url: str,
    is_allowed: Callable[[str], bool],
    dotfiles: bool,
    tell: Callable[[OSError], None],
) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Each folder as its URL, its path, and its files as pairs of the same.

    A link to a folder that it is itself in is passed over, for what is below would never end.
    """
    above: frozenset[str] = frozenset()
    waiting = [(url, folder, above)]
    while waiting:
        url, folder, above = waiting.pop()
        real = os.path.realpath(folder)
        if real in above:
            continue
        files = []
        for entry in _entries(folder, tell):
            if not is_plain(entry.name, dotfiles=dotfiles):
                continue
            try:
                if entry.is_dir() and is_allowed(entry.path):
                    waiting.append((url + path_of([entry.name]), entry.path, above | {real}))
                elif entry.is_file() and is_allowed(entry.path):  # and no device or the like
                    files.append((url + path_of([entry.name]), entry.path))
            except OSError as error:  # a link that leads to itself, say
                tell(error)
        yield url, folder, files


def _entries(folder: str, tell: Callable[[OSError], None]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        tell(error)
        return []
