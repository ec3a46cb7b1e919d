"""Let pages of other sites use this one: CORS (Fetch Standard, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from webob import Request, Response
from webob.exc import HTTPNoContent

from cptoolkit.middleware import fields
from cptoolkit.middleware.layer import Layer

# 1#token (RFC 9110, section 5.6.1), to repeat what a preflight asks for
_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]+")

# scheme "://" host [ ":" port ], as browsers write it (RFC 6454, section 6.2). A * stands for
# whole labels, or for the port.
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:(?:\*\.)?[a-z0-9_.-]+|\*|\[[0-9a-f:.]+\])(?::(?:[0-9]+|\*))?"
)

_VARY = ("Vary", "Origin")
_OURS = frozenset(
    {
        "vary",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
    }
)
_PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@dataclass(kw_only=True, eq=False)
class CORS(Layer):
    """Tell browsers which other sites may read the answers, and may send what a form cannot.

    A preflight request is answered here, with 204, and never reaches the application: it comes
    without cookies and credentials, so that a login would refuse it. Every other answer gets the
    fields that its origin is allowed, errors and files too; a request without ``Origin`` or from
    an origin that is not allowed is answered as if the layer were not there, but for ``Vary``.
    It is the browser that keeps the page from reading the answer: CORS protects the users of
    browsers, and is no access control.

    :raises ValueError: if an origin is none, or credentials are allowed together with ``"*"``.
    """

    allow_origins: str | re.Pattern[str] | Sequence[str | re.Pattern[str]] = ()
    """The origins that are allowed: ``"https://example.org"``; ``"https://*.example.org"`` for
    all names below one; ``"http://localhost:*"`` for all ports; ``"null"`` for files and
    sandboxes; a compiled pattern that must match the whole; or ``"*"`` for all."""

    allow_methods: str | Sequence[str] = ("GET", "HEAD", "POST")
    """The methods that are allowed, ``"*"`` for all. The default ones always are."""

    allow_headers: str | Sequence[str] = ()
    """The request's header fields that are allowed beside those that forms send, such as
    ``"Authorization"``; ``"*"`` for all."""

    expose_headers: str | Sequence[str] = ()
    """The answer's header fields that pages may read beside the usual ones; ``"*"`` for all."""

    allow_credentials: bool = False
    """Whether pages may send cookies and credentials along, and read the answers to that."""

    max_age: int = 600
    """Seconds for which browsers may keep the answer to a preflight; they have limits of their
    own, from 600 to 86,400."""

    allow_private_network: bool = False
    """Whether pages from the public internet may reach this site in a private network (Private
    Network Access)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        origins = self.allow_origins
        listed = [origins] if isinstance(origins, str | re.Pattern) else list(origins)
        self._any = "*" in listed
        if self._any and self.allow_credentials:
            raise ValueError(
                "allow_origins='*' with allow_credentials=True would hand every site what the "
                "users of this one can see: name the origins"
            )
        if self.max_age < 0:
            raise ValueError(f"max_age must be 0 or more seconds, got {self.max_age}")
        self._exact = {o for o in listed if isinstance(o, str) and "*" not in o}
        self._patterns = []
        for origin in listed:
            if isinstance(origin, re.Pattern):
                self._patterns.append(origin)
            elif origin not in ("*", "null"):
                _check_origin(origin)
                if "*" in origin:
                    pattern = re.escape(origin).replace(r"\*", "[a-z0-9_.-]+")
                    self._patterns.append(re.compile(pattern))

        self._methods = _list("allow_methods", self.allow_methods)
        self._headers = _list("allow_headers", self.allow_headers)
        exposed = _list("expose_headers", self.expose_headers)
        if exposed == "*" and self.allow_credentials:
            # Fetch Standard, section 3.3.3: with credentials it is the name of a field.
            raise ValueError("expose_headers='*' means nothing with allow_credentials=True")
        self._always = []
        if self.allow_credentials:
            self._always.append(("Access-Control-Allow-Credentials", "true"))
        if exposed:
            self._always.append(("Access-Control-Expose-Headers", exposed))

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        if environ["REQUEST_METHOD"] != "OPTIONS":
            return None
        origin = environ.get("HTTP_ORIGIN")
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if origin is None or method is None:
            return None
        answer = [("Vary", _PREFLIGHT_VARY)]
        if self._allows(origin):
            # With credentials a * is no wildcard, so what was asked for is said.
            methods = method if self._methods == "*" else self._methods
            wanted = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
            headers = wanted if self._headers == "*" else self._headers
            for name, value in (
                ("Access-Control-Allow-Methods", methods),
                ("Access-Control-Allow-Headers", headers),
            ):
                if _TOKENS.fullmatch(value):
                    answer.append((name, value))
            answer.append(("Access-Control-Max-Age", str(self.max_age)))
            private = environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK")
            if self.allow_private_network and private == "true":
                answer.append(("Access-Control-Allow-Private-Network", "true"))
        # Raised, so that inside an Application no later hook, a login say, refuses it after all.
        raise HTTPNoContent(headers=answer)

    def after(self, request: Request, response: Response) -> None:
        headers = response.headerlist
        vary = [] if self._any else [_VARY]
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is None or not self._allows(origin):
            ours = vary
        else:
            allowed = ("Access-Control-Allow-Origin", "*" if self._any else origin)
            ours = [*vary, allowed, *self._always]
        if _OURS.isdisjoint([name.lower() for name, _ in headers]):
            headers += ours
            return
        for name, value in ours:
            if name == "Vary":
                fields.add_vary(headers, value)
            else:
                fields.put(headers, name, value)

    def _allows(self, origin: str) -> bool:
        return (
            self._any
            or origin in self._exact
            or any(pattern.fullmatch(origin) for pattern in self._patterns)
        )


def _check_origin(origin: object) -> None:
    """See that a browser could send an origin, or one that a ``*`` stands for.

    :raises ValueError: if not.
    """
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        near = re.match(r"[a-z]+://[^/?#]+", origin.lower()) if isinstance(origin, str) else None
        hint = f"; did you mean {near[0]!r}?" if near and _ORIGIN.fullmatch(near[0]) else ""
        raise ValueError(
            "allow_origins takes origins such as 'https://example.org' or "
            f"'https://*.example.org', got {origin!r}{hint}"
        )


def _list(option: str, names: str | Sequence[str]) -> str:
    """Names of methods or fields as one list; "*" if all are meant.

    :raises ValueError: if one of them is no name.
    """
    listed = [names] if isinstance(names, str) else list(names)
    if "*" in listed:
        return "*"
    for name in listed:
        try:
            fields.checked_name(name)
        except ValueError:
            raise ValueError(
                f"{option} takes names, several of them in a list, got {name!r}"
            ) from None
    return ", ".join(listed)
