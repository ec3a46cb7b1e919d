"""The elements of a header field that is a list (RFC 9110, sections 5.6 and 12.4.2).

::

    field   = [ element ] *( OWS "," OWS [ element ] )
    element = value *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] )

Commas and semicolons within a quoted-string do not separate. Every expression below always
matches what it has begun, so that a hostile field costs no more than its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header

from cptoolkit.http.errors import HTTPError

# A quoted-string, also one whose closing quote is missing.
_QUOTED = r'"(?:[^"\\]|\\.?)*"?'
_ELEMENT = re.compile(rf'(?=[^\s,;])(?:[^,"]+|{_QUOTED})+', re.DOTALL)
_PARAMETER = re.compile(rf'(?=[^\s;])(?:[^;"]+|{_QUOTED})+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)

# RFC 9110, section 12.4.2 allows three decimals; more do no harm and are sent.
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,15})?|1(?:\.0{0,15})?|\.[0-9]{1,15}")


@dataclass(order=False)
class HeaderElement:
    """One element of a header field: ``text/html;charset=utf-8`` of a Content-Type.

    Elements sort by value.
    """

    value: str
    """What stands before the first semicolon, quotes included."""

    params: dict[str, str] = field(default_factory=dict)
    """The parameters: names in lower case, values without quotes."""

    def __lt__(self, other: HeaderElement) -> bool:
        return self.value < other.value

    def __str__(self) -> str:
        return self.value + "".join(f";{name}={value}" for name, value in self.params.items())

    def __bytes__(self) -> bytes:
        return str(self).encode("latin-1")

    @staticmethod
    def parse(elementstr: str) -> tuple[str, dict[str, str]]:
        """Split an element into its value and its parameters.

        A parameter without ``=`` is left out; of two with one name the last counts.
        """
        if ";" not in elementstr:
            return elementstr.strip(), {}
        value, *pieces = _PARAMETER.findall(elementstr) or [""]
        params = {}
        for piece in pieces:
            name, equals, text = piece.partition("=")
            if equals:
                params[name.strip().lower()] = _unquoted(text.strip())
        return value.strip(), params

    @classmethod
    def from_str(cls, elementstr: str) -> HeaderElement:
        """Read an element as it stands in a field."""
        return cls(*cls.parse(elementstr))


class AcceptElement(HeaderElement):
    """One element of a field that says how welcome each choice is: ``text/*;q=0.5``.

    Elements sort by weight, then the more specific above the wider (RFC 9110, section 12.5.1).
    """

    @property
    def qvalue(self) -> float:
        """The weight, from 0 (not acceptable) to 1 (the default).

        :raises HTTPError: 400 if it is anything else.
        """
        weight = self.params.get("q")
        if weight is None:
            return 1.0
        if not _WEIGHT.fullmatch(weight):
            raise HTTPError(400, f"q must be a number from 0 to 1, got {weight[:40]!r}.")
        return float(weight)

    @property
    def _rank(self) -> tuple[float, int, int]:
        wildcards = self.value.count("*")
        return self.qvalue, -wildcards, len(self.params) - ("q" in self.params)

    def __lt__(self, other: HeaderElement) -> bool:
        if isinstance(other, AcceptElement):
            return self._rank < other._rank
        return super().__lt__(other)


def header_elements(fieldname: str, fieldvalue: str | None) -> list[HeaderElement]:
    """The elements of a field.

    :param fieldname: in any case. The elements of ``TE`` and of a name that begins with
        ``Accept`` are :class:`AcceptElement`, best first, equals in the order of the field.
    :param fieldvalue: None, as an empty field, has no elements. Empty elements are passed over.
    :raises HTTPError: 400 for a weight that is none.
    """
    if not fieldvalue:
        return []
    weighted = fieldname[:6].lower() == "accept" or fieldname.lower() == "te"
    kind = AcceptElement if weighted else HeaderElement
    elements = [kind.from_str(text) for text in _ELEMENT.findall(fieldvalue)]
    if weighted:
        elements.sort(key=lambda element: element._rank, reverse=True)  # type: ignore[attr-defined]
    return elements


def decode_TEXT(value: str) -> str:
    """Read RFC 2047 encoded-words, ``=?utf-8?q?caf=C3=A9?=``, in a text.

    Nothing calls this for incoming headers, in which such words have no meaning any more
    (RFC 9110, section 5.5). A text that cannot be decoded is returned as it came.
    """
    if "=?" not in value:
        return value
    try:
        return "".join(
            atom if isinstance(atom, str) else atom.decode(charset or "latin-1")
            for atom, charset in decode_header(value)
        )
    except (ValueError, LookupError, HeaderParseError):
        return value


def _unquoted(text: str) -> str:
    if text[:1] != '"':
        return text
    inner = text[1:-1] if text[-1] == '"' else text[1:]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner
