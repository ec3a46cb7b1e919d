"""Header fields as mappings: those of the request, of the response, and of a body part.

The other names of ``cherrypy.lib.httputil`` can be imported from here too.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any

from webob.headers import EnvironHeaders
from webob.headers import ResponseHeaders as WebobResponseHeaders

from cptoolkit.http.elements import AcceptElement, HeaderElement, decode_TEXT, header_elements
from cptoolkit.http.query import parse_query_string
from cptoolkit.http.values import (
    Host,
    HTTPDate,
    get_ranges,
    protocol_from_http,
    response_codes,
    urljoin,
    urljoin_bytes,
    valid_status,
)

__all__ = [
    "AcceptElement",
    "CaseInsensitiveDict",
    "HTTPDate",
    "HeaderElement",
    "HeaderMap",
    "Host",
    "RequestHeaders",
    "ResponseHeaders",
    "decode_TEXT",
    "get_ranges",
    "header_elements",
    "header_name",
    "header_value",
    "parse_query_string",
    "protocol_from_http",
    "response_codes",
    "urljoin",
    "urljoin_bytes",
    "valid_status",
]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2

_known_names: set[str | bytes] = set()
"""Names that have been checked; few, as programs spell them out, unless they come from clients."""


def header_name(name: str | bytes) -> str:
    """A field name as a WSGI server wants it.

    :raises ValueError: if it is no token (RFC 9110, section 5.1).
    """
    if name in _known_names:
        return str(name)
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"a header name is a token of RFC 9110, got {text!r}")
    if len(_known_names) < 1000:
        _known_names.add(text)
    return text


def header_value(name: str, value: object) -> str:
    """A field value as a WSGI server wants it: a str of latin-1 characters.

    :param name: of the field, for the error.
    :param value: str, bytes (taken as latin-1), or what :class:`str` turns into text, as numbers.
        A text beyond latin-1 becomes an encoded-word (RFC 2047, section 2).
    :raises TypeError: if it is None.
    :raises ValueError: if it holds CR, LF or NUL, which would end the field (RFC 9110, 5.5).
    """
    if type(value) is str and value.isascii() and value.isprintable():
        return value
    if value is None:
        raise TypeError(f"the header {name} cannot be None; delete it instead")
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"the header {name} must not hold CR, LF or NUL, got {text!r}")
    if not text.isascii():
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            return f"=?utf-8?b?{b64encode(text.encode()).decode('ascii')}?="
    return text


def _output(items: Iterable[tuple[str, object]]) -> list[tuple[bytes, bytes]]:
    return [
        (header_name(name).encode("latin-1"), header_value(name, value).encode("latin-1"))
        for name, value in items
    ]


class CaseInsensitiveDict(dict[str, Any]):
    """A dict whose keys are in Title-Case, and found in any case."""

    def __init__(self, items: Any = (), /, **named: Any) -> None:
        super().__init__()
        self.update(items, **named)

    @staticmethod
    def transform_key(key: str | bytes) -> str:
        """The key as it is stored."""
        return (key.decode("latin-1") if isinstance(key, bytes) else str(key)).title()

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(self.transform_key(key))

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(self.transform_key(key), value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(self.transform_key(key))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, (str, bytes)) and super().__contains__(self.transform_key(key))

    has_key = __contains__

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(self.transform_key(key), default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        return super().setdefault(self.transform_key(key), default)

    def pop(self, key: str, *default: Any) -> Any:
        return super().pop(self.transform_key(key), *default)

    def update(self, items: Any = (), /, **named: Any) -> None:
        for key, value in dict(items, **named).items():
            self[key] = value

    def copy(self) -> Any:
        """A mapping of the same kind with the same items."""
        return type(self)(self)


class HeaderMap(CaseInsensitiveDict):
    """Header fields in a dict: one value for each name."""

    def elements(self, key: str) -> list[HeaderElement]:
        """The elements of a field, see :func:`header_elements`."""
        return header_elements(key, self.get(key))

    def values(self, key: str | None = None) -> Any:
        """All values; with a name the values of that field's elements, as a list of str."""
        return super().values() if key is None else [e.value for e in self.elements(key)]

    def output(self) -> list[tuple[bytes, bytes]]:
        """The fields as they go out: list of (name, value)."""
        return _output(self.items())

    encode_header_items = staticmethod(_output)
    """What :meth:`output` gives, of any (name, value) pairs."""


_CGI_KEYS = {
    "Content-Type": "CONTENT_TYPE",
    "Content-Length": "CONTENT_LENGTH",
    # No header fields, but CherryPy has always offered them as such.
    "Remote-Addr": "REMOTE_ADDR",
    "Remote-Host": "REMOTE_HOST",
}
"""What CGI keeps elsewhere than under HTTP_ (RFC 3875, section 4.1)."""

_CGI_NAMES = {key: name for name, key in _CGI_KEYS.items()}
_HIDDEN = {f"HTTP_{key}" for key in _CGI_NAMES}  # a client cannot speak for the server

_environ_keys: dict[str, str] = {}
"""Environ keys by field name, as programs have spelt it; see :func:`_environ_key`."""


def _environ_key(name: str) -> str:
    key = _CGI_KEYS.get(name.title()) or "HTTP_" + name.upper().replace("-", "_")
    if len(_environ_keys) < 1000:  # names may come from clients, too
        _environ_keys[name] = key
    return key


class RequestHeaders(EnvironHeaders):
    """The header fields of a request: a live view of the WSGI environ, found in any case.

    ``Remote-Addr`` and ``Remote-Host`` are the address and the name of the client as the server
    tells them. An empty Content-Type or Content-Length counts as absent (PEP 3333).
    """

    def get(self, key: str, default: Any = None) -> Any:
        try:
            environ_key = _environ_keys[key]
        except KeyError:
            environ_key = _environ_key(key)
        value = self.environ.get(environ_key)
        if value:
            return value
        return default if value is None or environ_key in _CGI_NAMES else value

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __setitem__(self, key: str, value: object) -> None:
        self.environ[_environ_key(header_name(key))] = header_value(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        del self.environ[_environ_key(key)]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    has_key = __contains__

    def __iter__(self) -> Iterator[str]:
        for key, value in self.environ.items():
            if key.startswith("HTTP_"):
                if key not in _HIDDEN:
                    yield key[5:].replace("_", "-").title()
            elif key in _CGI_NAMES and value:
                yield _CGI_NAMES[key]

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        return KeysView(self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def values(self, key: str | None = None) -> Any:
        """All values; with a name the values of that field's elements, as a list of str."""
        if key is None:
            return super().values()
        return [element.value for element in self.elements(key)]

    def elements(self, key: str) -> list[HeaderElement]:
        """The elements of a field, see :func:`header_elements`."""
        return header_elements(key, self.get(key))

    def output(self) -> list[tuple[bytes, bytes]]:
        """The fields in bytes: list of (name, value)."""
        return _output((name, self[name]) for name in self)

    def copy(self) -> HeaderMap:
        """The fields of this moment in a mapping of their own."""
        return HeaderMap((name, self[name]) for name in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())!r})"


class ResponseHeaders(WebobResponseHeaders):
    """The header fields of a response: a view of webob's list, names found in any case.

    Assigning replaces, in the place of the first such field; :meth:`add` adds another one, as
    several ``Set-Cookie`` need. Names and values are checked and made native strings as they
    come in, see :func:`header_name` and :func:`header_value` for what is refused.
    """

    _items: list[tuple[str, str]]

    def __init__(self, items: Any = (), /, **named: Any) -> None:
        super().__init__()
        self.extend(items, **named)

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def get(self, key: str, default: Any = None) -> Any:
        lower = key.lower()
        for name, value in reversed(self._items):
            if name.lower() == lower:
                return value
        return default

    def __setitem__(self, key: str, value: object) -> None:
        name = header_name(key)
        item = (name, header_value(name, value))
        lower = name.lower()
        items = self._items
        for place, (other, _) in enumerate(items):
            if other.lower() == lower:
                items[place] = item
                items[place + 1 :] = [i for i in items[place + 1 :] if i[0].lower() != lower]
                return
        items.append(item)

    def __delitem__(self, key: str) -> None:
        # Server and Date are put in by the server, so a program that wants neither finds none here.
        if key in self or key.lower() not in ("server", "date"):
            super().__delitem__(key)

    def add(self, key: str, value: object) -> None:
        """Add a field, next to those of the same name."""
        name = header_name(key)
        self._items.append((name, header_value(name, value)))

    def setdefault(self, key: str, default: object = None) -> Any:
        """The value of the field, which is set to the default if it is not there."""
        value = self.get(key)
        if value is None:
            self.add(key, default)
            value = self._items[-1][1]
        return value

    def update(self, items: Any = (), /, **named: object) -> None:
        """Assign each of the items."""
        for key, value in _pairs(items, named):
            self[key] = value

    def extend(self, items: Any = (), /, **named: object) -> None:
        """Add each of the items."""
        for key, value in _pairs(items, named):
            self.add(key, value)

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """The fields of this moment: list of (name, value)."""
        return list(self._items)

    def keys(self) -> list[str]:  # type: ignore[override]
        """The names, those of several fields several times."""
        return [name for name, _ in self._items]

    def values(self, key: str | None = None) -> Any:
        """All values; with a name the values of that field's elements: list of str."""
        if key is None:
            return [value for _, value in self._items]
        return [element.value for element in self.elements(key)]

    def elements(self, key: str) -> list[HeaderElement]:
        """The elements of all fields of that name, see :func:`header_elements`."""
        return header_elements(key, ",".join(self.getall(key)))

    def output(self) -> list[tuple[bytes, bytes]]:
        """The fields in bytes: list of (name, value)."""
        return _output(self._items)

    encode_header_items = staticmethod(_output)
    """What :meth:`output` gives, of any (name, value) pairs."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"


def _pairs(items: Any, named: Mapping[str, object]) -> list[tuple[str, object]]:
    if hasattr(items, "items"):
        items = items.items()
    elif hasattr(items, "keys"):
        items = [(key, items[key]) for key in items.keys()]  # noqa: SIM118
    return [*(items or ()), *named.items()]
