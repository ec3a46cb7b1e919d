"""The cookies that a client keeps, as header fields for its next request."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

Field = tuple[str, str]


def kept(cookies: Iterable[Field], fields: Iterable[Field]) -> list[Field]:
    """What is left of cookies after a response, by the rules of RFC 6265, section 5.

    Those of one name replace each other whatever their path and domain: a test has but one site.

    :param cookies: ``("Cookie", "name=value")`` fields.
    :param fields: the header of the response.
    :returns: one ``("Cookie", "name=value")`` field for each cookie.
    """
    by_name = {_name(value): value for _, value in cookies}
    for field, value in fields:
        if field.lower() != "set-cookie":
            continue
        pair, *attributes = (part.strip() for part in value.split(";"))
        by_name.pop(_name(pair), None)
        if not _has_expired(attributes):
            by_name[_name(pair)] = pair
    return [("Cookie", pair) for pair in by_name.values()]


def joined(fields: Iterable[Field]) -> list[Field]:
    """A header with its cookies in one field, as RFC 6265, section 5.4 asks of clients."""
    fields = list(fields)
    cookies = [value for name, value in fields if name.lower() == "cookie"]
    others = [field for field in fields if field[0].lower() != "cookie"]
    return [*others, ("Cookie", "; ".join(cookies))] if cookies else others


def _name(pair: str) -> str:
    return pair.partition("=")[0].strip()


def _has_expired(attributes: Iterable[str]) -> bool:
    given = {_name(text).lower(): text.partition("=")[2].strip() for text in attributes}
    try:
        if "max-age" in given:  # which wins over Expires
            return int(given["max-age"]) <= 0
        if "expires" in given:
            return parsedate_to_datetime(given["expires"]).timestamp() <= time.time()
    except ValueError:
        pass  # an attribute that nobody understands counts as none (sections 5.2.1 and 5.2.2)
    return False
