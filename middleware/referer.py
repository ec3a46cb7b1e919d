"""Answer only requests that come from certain pages (RFC 9110, section 10.1.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webob import Request
from webob.exc import status_map

from cptoolkit.middleware.layer import Layer


@dataclass(kw_only=True, eq=False)
class Referer(Layer):
    """Refuse requests by the page that their ``Referer`` names.

    Against sites that show another's pictures as their own. It is no proof of anything: a client
    can send what it likes, and browsers may send nothing.

    :raises ValueError: if the pattern is no regular expression, or the status no error.
    :raises TypeError: if the pattern is neither text nor made of text.
    """

    pattern: str | re.Pattern[str]
    """A regular expression that the field is compared with from its beginning. A dot in a host
    name needs a backslash, and its end a slash: ``https://www\\.example\\.com/``."""

    accept: bool = True
    """Whether the pages that match are the ones to accept, or the ones to refuse."""

    accept_missing: bool = False
    """Whether to accept requests without the field."""

    error: int = 403
    """The status of a refusal."""

    message: str = "Forbidden Referer header."
    """What the page of a refusal says."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(getattr(self.pattern, "pattern", self.pattern), str):
            raise TypeError(f"pattern must be a regular expression for str, got {self.pattern!r}")
        try:
            self._match = re.compile(self.pattern).match
        except re.error as error:
            raise ValueError(
                f"pattern must be a regular expression, got {self.pattern!r}: {error}"
            ) from error
        if type(self.error) is not int or self.error < 400 or self.error not in status_map:
            raise ValueError(f"error must be the status of an error, got {self.error!r}")
        self._refusal = status_map[self.error]

    def before(self, request: Request) -> None:
        referer = request.environ.get("HTTP_REFERER")
        if referer is None:
            accepted = self.accept_missing
        else:
            accepted = (self._match(referer) is not None) is self.accept
        if not accepted:
            raise self._refusal(self.message)
