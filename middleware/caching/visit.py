"""What a cache knows of one request that it could not answer, from asking to keeping."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cptoolkit.middleware.caching.control import Directives, suits
from cptoolkit.middleware.caching.flights import Flight
from cptoolkit.middleware.caching.keys import Key
from cptoolkit.middleware.caching.records import Answer, Variants
from cptoolkit.middleware.caching.stores import CacheStore, Version


@dataclass(slots=True)
class Visit:
    """A request, and what is to become of the answer to it."""

    uri: Key
    changes: bool = False
    """Whether it may change what the URI stands for."""
    credentials: bool = False
    """Whether it has an ``Authorization`` field, or its user is known."""
    key: Key = ()
    """What the answer was looked for under at last."""
    variants: Variants | None = None
    version: Version = None
    why: str = "uri-miss"
    """Why the application is asked, in the words of RFC 9211, section 2.2."""
    environ: Mapping[str, Any] | None = None
    """The environ as it was before the application could change it."""
    flight: Flight | None = None
    claim: str | None = None
    conditions: Mapping[str, str] | None = None
    """Fields of the request that the application does not see, so that it answers in full."""

    def look(
        self, store: CacheStore, environ: Mapping[str, Any], wishes: Directives, now: float
    ) -> Answer | None:
        """The kept answer that the request can have; None if there is none.

        :param wishes: the ``Cache-Control`` of the request.
        :raises webob.exc.HTTPBadRequest: if they are malformed.
        """
        found, self.version = store.find(self.uri)
        self.key = self.uri
        if type(found) is Variants:
            self.variants, self.why = found, "vary-miss"
            self.key = found.key(self.uri, environ)
            found = store.get(self.key)
        if type(found) is not Answer:
            return None
        if self.credentials and not found.for_everybody:
            self.why = "bypass"
        elif found.expires <= now:
            self.why = "stale"
        elif wishes and not suits(wishes, now - found.born, found.expires - now):
            self.why = "request"
        else:
            return found
        return None

    def keep(self, store: CacheStore, answer: Answer, names: Sequence[str]) -> bool:
        """Keep the answer to the request.

        One URI is kept by all request fields that any of its answers has named, since an answer
        that names fewer is right for whoever asks with the same values of the others.

        :param names: of the request fields in ``Vary``, in lower case.
        :returns: whether it is kept.
        """
        variants = self.variants
        if variants is None and not names:
            return store.put(self.uri, answer, self.version)
        known = variants.names if variants is not None else ()
        wanted = tuple(dict.fromkeys((*known, *names)))
        if variants is None or wanted != known:
            variants = Variants(wanted, os.urandom(8).hex(), answer.expires)
        elif variants.expires < answer.expires:
            variants = Variants(known, variants.generation, answer.expires)
        if variants is not self.variants and not store.put(self.uri, variants, self.version):
            return False
        return store.put(variants.key(self.uri, self.environ or {}), answer, self.version)
