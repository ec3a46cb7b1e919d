"""The cookie that carries a session: how it is read, set and deleted (RFC 6265)."""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Literal

from cptoolkit.middleware.fields import Fields, add_vary, joined, put

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SAMESITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
"""The values of SameSite as they are written (RFC 6265bis, section 5.6.7)."""

VARY = ("Vary", "Cookie")
PRIVATE = ("Cache-Control", "private")
_CONCERNED = frozenset({"vary", "set-cookie", "cache-control"})
"""The fields that have to be looked at before these can be set."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_UNSAFE = re.compile("[^ -:<-~]")  # controls, ";" and what is not ASCII


class SessionCookie:
    """Reads and writes one cookie, by settings that are the same for all requests.

    The parameters are those of :class:`~cptoolkit.middleware.sessions.Sessions`.

    :raises ValueError: if a setting cannot stand in a cookie.
    """

    def __init__(
        self,
        *,
        name: str = "session_id",
        path: str | None = None,
        path_header: str | None = None,
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool = True,
        samesite: Literal["Lax", "Strict", "None"] | None = "Lax",
        partitioned: bool = False,
        persistent: bool = True,
    ) -> None:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"name must be the name of a cookie, got {name!r}")
        for option, text in (("path", path), ("domain", domain)):
            if text is not None and (not text or _UNSAFE.search(text)):
                raise ValueError(f"{option} must be plain text without ';', got {text!r}")
        sites = None if samesite is None else SAMESITE.get(str(samesite).lower(), "")
        if sites == "":
            raise ValueError(f"samesite must be 'Lax', 'Strict', 'None' or None, got {samesite!r}")
        cross_site = partitioned or sites == "None"
        if cross_site and secure is False:
            raise ValueError(
                "secure must not be False with samesite='None' or partitioned=True: browsers "
                "refuse such a cookie"
            )
        self.name = name
        self.persistent = persistent
        self._path = path or "/"
        self._path_key = None
        if path_header and not path:
            self._path_key = "HTTP_" + path_header.upper().replace("-", "_")
        self._secure = True if cross_site else secure
        self._tail = ""
        if domain:
            self._tail += f"; Domain={domain}"
        if httponly:
            self._tail += "; HttpOnly"
        if sites is not None:
            self._tail += f"; SameSite={sites}"
        if partitioned:
            self._tail += "; Partitioned"
        self._secure_tail = f"{self._tail}; Secure"
        self._values = re.compile(rf'(?:^|;)\s*{re.escape(name)}="?([^";,\s]*)').findall
        self._start = f"{name}="

    def read(self, environ: WSGIEnvironment) -> str | None:
        """The value that the client sent; None if it sent none.

        Of several, the first: clients put the one for the longest path there (RFC 6265, 5.4).
        """
        sent: str | None = environ.get("HTTP_COOKIE")
        if sent is None:
            return None
        if sent.startswith(self._start) and ";" not in sent and '"' not in sent:
            return sent[len(self._start) :].strip()  # the only one, as most often
        if self._start not in sent:
            return None
        values = self._values(sent)
        return values[0] if values else None

    def put(self, fields: Fields, environ: WSGIEnvironment, value: str, max_age: int) -> None:
        """Have the client keep a value, unless the application has set the cookie itself.

        Caches are told that the response is for those who send this cookie, and for no others.

        :param max_age: in seconds; only for a cookie that survives the browser's end.
        """
        lifetime = _lifetime(int(time()), max_age) if self.persistent else ""
        self._put(fields, environ, value, lifetime)

    def put_deletion(self, fields: Fields, environ: WSGIEnvironment) -> None:
        """Have the client forget the cookie; caches are told the same as by :meth:`put`."""
        self._put(fields, environ, "", _lifetime(0, 0))

    def _put(self, fields: Fields, environ: WSGIEnvironment, value: str, lifetime: str) -> None:
        secure = self._secure
        if secure is None:
            secure = environ["wsgi.url_scheme"] == "https"
        tail = self._secure_tail if secure else self._tail
        path = self._path if self._path_key is None else self._sent_path(environ, self._path_key)
        cookie = ("Set-Cookie", f"{self._start}{value}{lifetime}; Path={path}{tail}")
        for name, _ in fields:
            if name.lower() in _CONCERNED:
                self._put_beside(fields, cookie)
                return
        fields += (VARY, cookie, PRIVATE)  # nothing is said yet, as most often

    def _put_beside(self, fields: Fields, cookie: tuple[str, str]) -> None:
        add_vary(fields, "Cookie")
        for name, known in fields:
            if name.lower() == "set-cookie" and known.startswith(self._start):
                return
        fields.append(cookie)
        make_private(fields)

    def _sent_path(self, environ: WSGIEnvironment, key: str) -> str:
        path: str = environ.get(key, "")
        return path if path.startswith("/") and not _UNSAFE.search(path) else self._path


@lru_cache(maxsize=16)
def _lifetime(now: int, max_age: int) -> str:
    # Max-Age is right whatever the client's clock says, Expires for those that lack it.
    return f"; Expires={formatdate(now + max_age, usegmt=True)}; Max-Age={max_age}"


def make_private(fields: Fields) -> None:
    """Keep a response with a cookie out of shared caches, if the application has not done so.

    RFC 9111, section 5.2.2.7. What would let them store it nevertheless is taken away.
    """
    said = [item.strip() for item in joined(fields, "cache-control").split(",") if item.strip()]
    names = [item.partition("=")[0].strip().lower() for item in said]
    if {"private", "no-store", "no-cache"}.isdisjoint(names):
        shared = ("public", "s-maxage")
        kept = [item for item, name in zip(said, names, strict=True) if name not in shared]
        put(fields, "Cache-Control", ", ".join(["private", *kept]))
