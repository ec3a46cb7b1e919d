"""Answer only clients that take one of the media types on offer (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webob import Request, Response
from webob.acceptparse import create_accept_header
from webob.exc import HTTPNotAcceptable

from cptoolkit.middleware.fields import add_vary
from cptoolkit.middleware.layer import Layer

CHOICE = "cptoolkit.accept"
"""Where in the environ the chosen media type is left."""

LONGEST_FIELD = 2000
"""An Accept of more characters counts as none, for each costs 2 µs; those of browsers have about
150."""


@dataclass(kw_only=True, eq=False)
class Accept(Layer):
    """Answer 406 to a client whose ``Accept`` names none of the media types on offer.

    The one that the client likes best is left in ``environ["cptoolkit.accept"]``. A client
    without the field takes anything. Caches are told by ``Vary`` that others get other answers.

    :raises ValueError: if a media type on offer is not of the form type/subtype, or there is none.
    """

    media: str | Sequence[str] = "text/html"
    """The media types on offer, the server's favourite first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        media = self.media
        if not isinstance(media, (str, Sequence)):
            raise TypeError(f"media must be a media type or several in a list, got {media!r}")
        self._offers = [media] if isinstance(media, str) else list(media)
        if not self._offers:
            raise ValueError("media must be one media type at least, got an empty list")
        for offer in self._offers:
            kind, _, subtype = str(offer).partition("/")
            if not (kind and subtype) or "*" in offer:
                raise ValueError(f"media must be types such as 'text/html', got {offer!r}")

    def before(self, request: Request) -> Response | None:
        request.environ[CHOICE] = choose(request.environ.get("HTTP_ACCEPT"), self._offers)
        return None

    def after(self, request: Request, response: Response) -> None:
        add_vary(response.headerlist, "Accept")


def choose(field: str | None, offers: Sequence[str]) -> str:
    """The media type on offer that an ``Accept`` field likes best.

    :param field: as for :func:`acceptable`.
    :raises webob.exc.HTTPNotAcceptable: if it takes none of them.
    """
    field = (field or "").strip()
    found = acceptable(field, offers)
    if not found:
        raise HTTPNotAcceptable(
            f"Your client sent this Accept header: {field}. "
            f"But this resource only emits these media types: {', '.join(offers)}."
        )
    return found[0][0]


def acceptable(field: str | None, offers: Sequence[str]) -> list[tuple[str, float]]:
    """The media types on offer that an ``Accept`` field takes, and how much, the liked best first.

    :param field: the value of the field; None if there is none. One that is empty, malformed or
        longer than :data:`LONGEST_FIELD` counts as none, as RFC 9110, section 12.5.1 lets a
        server do.
    """
    if field is not None and len(field) > LONGEST_FIELD:
        field = None
    found: list[tuple[str, float]] = create_accept_header(field or None).acceptable_offers(offers)
    return found
