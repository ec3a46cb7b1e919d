"""What clients send in ``Authorization``, and what challenges are made of (RFC 9110, 11)."""

from __future__ import annotations

import codecs
import re
import unicodedata

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, section 5.6.2

_PARAMETER = re.compile(
    # auth-param = token BWS "=" BWS ( token / quoted-string ), in a list with empty elements
    rf"[ \t,]*({_TOKEN})[ \t]*=[ \t]*"
    rf'(?:({_TOKEN})|"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*)")'
    r"[ \t]*(?=,|\Z)"
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def split(field: str) -> tuple[str, str]:
    """Scheme, in lower case, and the rest of an ``Authorization`` field; ("", "") if it is empty.

    ``credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]``
    """
    scheme, _, rest = field.strip(" \t").partition(" ")
    return scheme.lower(), rest.lstrip(" \t")


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of credentials by name in lower case, their values without quotes.

    :raises ValueError: if the text is not of that form, or a name comes twice.
    """
    text = text.strip(" \t,")
    parameters: dict[str, str] = {}
    place = 0
    while place < len(text):
        found = _PARAMETER.match(text, place)
        if found is None:
            raise ValueError("a parameter is not of the form name=value")
        name, token, quoted = found.groups()
        name = name.lower()
        if name in parameters:
            raise ValueError(f"the parameter {name} comes twice")
        parameters[name] = _QUOTED_PAIR.sub(r"\1", quoted) if token is None else token
        place = found.end()
    return parameters


def decode_text(raw: bytes, charset: str) -> str:
    """A user name or password as text, in the normal form C that RFC 7617, section 2.1 asks for.

    :param charset: the encoding it should be in. What is not is read as ISO-8859-1, in which
        clients that know of no charset parameter send it.
    """
    try:
        text = raw.decode(charset)
    except UnicodeDecodeError:
        text = raw.decode("iso-8859-1")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def has_control_characters(text: str) -> bool:
    """Whether there are any, which no name or password may have (RFC 7617, section 2)."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def realm_value(realm: str) -> str:
    """A realm as it stands between the quotes of a challenge, as an option gave it.

    :raises TypeError: if it is no text.
    :raises ValueError: if it has what clients read in different ways, or no field may have.
    """
    if not isinstance(realm, str):
        raise TypeError(f"realm must be a str, got {realm!r}")
    if '"' in realm or "\\" in realm or has_control_characters(realm):
        raise ValueError(
            f"realm must be without quotes, backslashes and control characters, got {realm!r}"
        )
    return realm.encode().decode("iso-8859-1")


def codec_name(accept_charset: str) -> str:
    """The name that Python has for a charset, as an option gave it.

    :raises ValueError: if nobody knows it.
    """
    try:
        return codecs.lookup(accept_charset).name
    except LookupError:
        raise ValueError(
            f"accept_charset must be a charset such as 'utf-8', got {accept_charset!r}"
        ) from None
