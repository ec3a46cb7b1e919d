"""Files that have been sent, kept with their headers for the next time while they are unchanged."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from time import monotonic, time
from typing import Any

from cptoolkit.middleware.compression.accept_encoding import choose
from cptoolkit.middleware.fields import Fields
from cptoolkit.middleware.files.answers import (
    SMALL,
    UNSETTLED_SECONDS,
    FileChanged,
    FileForm,
)

SIBLINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Extensions of files that were compressed beforehand, by content coding, the favourite first."""

KEPT_SECONDS = 5.0
"""How long a file is kept without asking anew what siblings it has, and whether it may be sent."""


class StoredFile:
    """A file as it was when it was last looked at, in all its forms.

    :param path: of the file itself.
    :param fields: header fields for it in every form.
    :param precompressed: whether siblings with the extensions of :data:`SIBLINGS` are forms of it.
        One that is older than the file itself is not: it was made from another version.
    :param is_allowed: asked whether a sibling may be sent.
    :param looks: whether a sibling is looked at again each time that it is sent.
    :param most_kept: the most bytes that a form of it may have to be kept in memory.
    :raises OSError: if the file cannot be read.
    """

    __slots__ = ("_codings", "_looks", "_until", "forms", "original")

    def __init__(
        self,
        path: str,
        fields: Fields,
        precompressed: bool = False,
        is_allowed: Callable[[str], bool] = lambda path: True,
        *,
        looks: bool = True,
        most_kept: int = SMALL,
    ) -> None:
        self._looks = looks
        self._until = monotonic() + KEPT_SECONDS
        found = os.stat(path)
        siblings = {}
        for coding, extension in SIBLINGS.items() if precompressed else ():
            if self._is_newer(path + extension, found) and is_allowed(path + extension):
                siblings[coding] = path + extension
        if siblings:
            fields = [*fields, ("Vary", "Accept-Encoding")]
        self.original = FileForm(path, fields, most_kept=most_kept)
        self.forms = {
            coding: FileForm(sibling, fields, coding, most_kept)
            for coding, sibling in siblings.items()
        }
        self._codings = tuple(siblings)

    @staticmethod
    def _is_newer(sibling: str, original: os.stat_result) -> bool:
        try:
            found = os.stat(sibling)
        except OSError:
            return False
        # Tools that copy the time of a file often lose the fraction of the second.
        return stat.S_ISREG(found.st_mode) and int(found.st_mtime) >= int(original.st_mtime)

    def is_current(self) -> bool:
        """Whether it may be sent as it is: the file has not changed since."""
        return monotonic() < self._until and self.original.is_current()

    def is_settled(self) -> bool:
        """Whether its last change is so long ago that a new one would show."""
        newest = max(form.mtime for form in (self.original, *self.forms.values()))
        return newest < time() - UNSETTLED_SECONDS

    def form_for(self, environ: Mapping[str, Any]) -> FileForm:
        """The form that a client likes best, by its ``Accept-Encoding``.

        :raises FileChanged: if that form has.
        """
        if not self.forms:
            return self.original
        coding, _ = choose(environ.get("HTTP_ACCEPT_ENCODING", ""), self._codings)
        if coding is None:
            return self.original
        form = self.forms[coding]
        if self._looks and not form.is_current():
            raise FileChanged(errno.EAGAIN, "the file has changed", form.path)
        return form

    @property
    def weight(self) -> int:
        """The bytes that are held in memory."""
        return self.original.weight + sum(form.weight for form in self.forms.values())


MOST_BYTES = 16 * 1024 * 1024
"""The most that is held in memory of the contents of files, together."""


class FileCache:
    """Stored files by key; those that were asked for longest ago go first.

    :param most: files that are kept.
    :param most_bytes: of their contents, together.
    """

    def __init__(self, most: int = 1000, most_bytes: int = MOST_BYTES) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.weight = 0
        self._files: OrderedDict[Hashable, StoredFile] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._files)

    def get(self, key: Hashable) -> StoredFile | None:
        """The file stored under a key, if it is current."""
        file = self._files.get(key)
        if file is None or not file.is_current():
            return None
        try:  # noqa: SIM105  (suppress() takes as long as all else here)
            self._files.move_to_end(key)
        except KeyError:  # another thread has just thrown it out
            pass
        return file

    def put(self, key: Hashable, file: StoredFile) -> None:
        """Store a file, unless it has changed so lately that a further change might not show."""
        if not file.is_settled():
            self.drop(key)
            return
        with self._lock:
            self._drop(key)
            self._files[key] = file
            self.weight += file.weight
            while len(self._files) > self.most or self.weight > self.most_bytes:
                _, oldest = self._files.popitem(last=False)
                self.weight -= oldest.weight

    def drop(self, key: Hashable) -> None:
        """Forget what is stored under a key, if anything is."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        file = self._files.pop(key, None)
        if file is not None:
            self.weight -= file.weight
