"""Files that have been sent, kept with their headers for the next time while they are unchanged."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from time import time
from typing import Any

from webob.acceptparse import create_accept_encoding_header

from cptoolkit.middleware.fields import Fields
from cptoolkit.middleware.files.answers import UNSETTLED_SECONDS, FileForm, signature_of

SIBLINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Extensions of files that were compressed beforehand, by content coding, the favourite first."""


class StoredFile:
    """A file as it was when it was last looked at, in all its forms.

    :param path: of the file itself.
    :param fields: header fields for it in every form.
    :param precompressed: whether siblings with the extensions of :data:`SIBLINGS` are forms of it.
        One that is older than the file itself is not: it was made from another version.
    :param is_allowed: asked whether a sibling may be sent.
    :raises OSError: if the file cannot be read.
    """

    __slots__ = ("_folder", "_folder_mtime", "forms", "original")

    def __init__(
        self,
        path: str,
        fields: Fields,
        precompressed: bool = False,
        is_allowed: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self._folder = os.path.dirname(path) if precompressed else ""
        self._folder_mtime = os.stat(self._folder).st_mtime_ns if precompressed else 0
        found = os.stat(path)
        siblings = {}
        for coding, extension in SIBLINGS.items() if precompressed else ():
            if self._is_newer(path + extension, found) and is_allowed(path + extension):
                siblings[coding] = path + extension
        if siblings:
            fields = [*fields, ("Vary", "Accept-Encoding")]
        self.original = FileForm(path, fields)
        self.forms = {
            coding: FileForm(sibling, fields, coding) for coding, sibling in siblings.items()
        }

    @staticmethod
    def _is_newer(sibling: str, original: os.stat_result) -> bool:
        try:
            found = os.stat(sibling)
        except OSError:
            return False
        # Tools that copy the time of a file often lose the fraction of the second.
        return stat.S_ISREG(found.st_mode) and int(found.st_mtime) >= int(original.st_mtime)

    def is_current(self) -> bool:
        """Whether nothing has changed since: neither the file, nor what siblings it has."""
        try:
            return signature_of(os.stat(self.original.path)) == self.original.signature and (
                not self._folder or os.stat(self._folder).st_mtime_ns == self._folder_mtime
            )
        except OSError:
            return False

    def is_settled(self) -> bool:
        """Whether its last change is so long ago that a new one would show."""
        newest = max(form.mtime for form in (self.original, *self.forms.values()))
        return newest < time() - UNSETTLED_SECONDS

    def form_for(self, environ: Mapping[str, Any]) -> FileForm:
        """The form that a client likes best, by its ``Accept-Encoding``.

        :raises OSError: if that form has changed.
        """
        accepted = environ.get("HTTP_ACCEPT_ENCODING") if self.forms else None
        if not accepted:
            return self.original
        form = self.forms.get(best_coding(accepted, tuple(self.forms)))
        if form is None:
            return self.original
        if signature_of(os.stat(form.path)) != form.signature:
            raise OSError(f"{form.path!r} has changed")
        return form

    @property
    def weight(self) -> int:
        """The bytes that are held in memory."""
        return self.original.weight + sum(form.weight for form in self.forms.values())


def best_coding(accepted: str, codings: tuple[str, ...]) -> str:
    """The content coding that an ``Accept-Encoding`` likes best (RFC 9110, section 12.5.3).

    :param codings: on offer, the favourite first.
    :returns: "identity" for none of them, also where the client refuses even that.
    """
    # What is remembered is bounded in number, so it has to be in length.
    return (_best_coding if len(accepted) < 200 else _best_coding.__wrapped__)(accepted, codings)


@lru_cache(maxsize=256)
def _best_coding(accepted: str, codings: tuple[str, ...]) -> str:
    offers = create_accept_encoding_header(accepted).acceptable_offers([*codings, "identity"])
    best: str = offers[0][0] if offers else "identity"
    return best


class FileCache:
    """Stored files by key; those that were asked for longest ago go first.

    :param most: files that are kept.
    :param most_bytes: of their contents, together.
    """

    def __init__(self, most: int = 1000, most_bytes: int = 16 * 1024 * 1024) -> None:
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
        with suppress(KeyError):  # another thread may just have thrown it out
            self._files.move_to_end(key)
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
