"""Behind a reverse proxy: take client, scheme and host from what trusted proxies tell."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webob import Request, Response
from webob.exc import HTTPBadRequest

from cptoolkit.middleware.forwarding.addresses import Network, Peers
from cptoolkit.middleware.forwarding.forwarded import (
    Origin,
    dump_forwarded,
    parse_forwarded,
    parse_node,
    parse_origin,
    parse_prefix,
)
from cptoolkit.middleware.forwarding.local import FORWARDED_FIELDS, PROXY_READ
from cptoolkit.middleware.forwarding.proxied import (
    Changes,
    Environ,
    Unreadable,
    add_prefix,
    apply,
    set_site,
    set_told,
)
from cptoolkit.middleware.layer import Layer

logger = logging.getLogger("cptoolkit.proxy")

_FACTS = {"for": "remote", "proto": "scheme", "host": "local", "port": "port", "prefix": "prefix"}
"""What proxies tell, by the names that RFC 7239, section 5 has, and the option that names the
field with it."""


@dataclass(kw_only=True, eq=False)
class Proxy(Layer):
    """Make the request what it was when it reached the first trusted proxy.

    Of a field to which each proxy adds, only what trusted ones have added is read: the value that
    stands ``hops`` from the right, or the first one, from the right, that tells of an address
    that is not ``trusted``. What stands further left may be the client's invention. Into the
    environ come the client's address (``REMOTE_ADDR``; "" if a proxy hides it), scheme
    (``wsgi.url_scheme``), host (``HTTP_HOST``, ``SERVER_NAME``, ``SERVER_PORT``) and prefix
    (in front of ``SCRIPT_NAME``). The forwarding fields stay as far as they are trusted and read;
    all others go, so that no application takes them by mistake. What the environ said before is
    in ``environ["cptoolkit.proxy.original"]``, and where that is, the layer does nothing again.

    A field that a trusted proxy does not set itself, it may well pass on from the client. So name
    only fields that yours sets or removes, and "" for the others. Servers that take ``_`` and
    ``-`` in names of fields for the same need a proxy that refuses the former.

    :raises webob.exc.HTTPBadRequest: if a trusted proxy tells what is no address, no host, no
        scheme or no path; the log says what.
    :raises ValueError: if ``base`` is no URL of a site, ``hops`` is not positive, or ``trusted``
        holds what is no address.
    """

    base: str | None = None
    """Scheme and host under which clients know the site, with a path if it begins there:
    ``"https://example.org"``. No field counts over it. Without scheme it is the host alone."""

    local: str | None = "X-Forwarded-Host"
    """The field with the host that the client asked for; "" to read none."""

    remote: str | None = "X-Forwarded-For"
    """The field with the client's address; "" to read none."""

    scheme: str | None = "X-Forwarded-Proto"
    """The field with the client's scheme: http, https, or on as in ``X-Forwarded-Ssl``; "" to
    read none."""

    port: str | None = ""
    """The field with the port that the client asked for, such as ``"X-Forwarded-Port"``."""

    prefix: str | None = ""
    """The field with the part of the path that a proxy has taken away, such as
    ``"X-Forwarded-Prefix"``."""

    forwarded: bool = False
    """Whether the field ``Forwarded`` (RFC 7239) is read in place of all others."""

    hops: int | None = None
    """How many trusted proxies a request comes through; None for as many as are ``trusted``, or
    for one."""

    trusted: str | Network | Sequence[str | Network] = ()
    """Addresses and networks of the proxies, ``"unix"`` for one that comes through a Unix socket.
    From any other peer no field is read. Without them every peer counts as a proxy."""

    debug: bool = False
    """Whether to log, for each request, what has been changed (level INFO)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._peers = Peers("trusted", self.trusted)
        if self.hops is not None and (type(self.hops) is not int or self.hops < 1):
            raise ValueError(f"hops must be the number of proxies, 1 or more, got {self.hops!r}")
        self._trusts_all = not self._peers
        self._hops = 1 if self._trusts_all and self.hops is None else self.hops
        self._remote = _key("remote", self.remote)
        self._fields = [
            (fact, key)
            for fact, option in _FACTS.items()
            if (key := _key(option, getattr(self, option)))
        ]
        named = {key for _, key in self._fields}
        # These have a meaning of their own, which they keep.
        self._known = (FORWARDED_FIELDS | named) - {"HTTP_ORIGIN", "HTTP_HOST", "HTTP_VIA"}
        self._base, self._base_path = _parse_base(self.base)

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        if PROXY_READ in environ:
            return None
        fields = environ.keys() & self._known
        if not fields and self._base is None:
            return None
        changes: Changes = {}
        if fields:
            changes = dict.fromkeys(fields)
            if self._trusts_all or self._peers.hold(environ.get("REMOTE_ADDR", "")):
                if self.forwarded:
                    self._read_forwarded(environ, changes)
                else:
                    self._read_fields(environ, changes)
        if self._base is not None:
            set_site(environ, changes, self._base.scheme, self._base.host)
            if self._base_path:
                add_prefix(environ, changes, self._base_path)
        apply(changes, environ)
        # What a request object has made of the environ before, it has to make anew.
        own = request.__dict__
        if len(own) > 1:
            for name in ("base", "local", "remote"):
                own.pop(name, None)
        if self.debug:
            logger.info(
                "%s: %r in place of %r", environ.get("PATH_INFO"), changes, environ[PROXY_READ]
            )
        return None

    def _read_fields(self, environ: Environ, changes: Changes) -> None:
        """Read one field for each fact.

        :raises webob.exc.HTTPBadRequest: if one of them is not what it should be.
        """
        hops = self._hops
        if hops is None:
            hops = self._trusted_in_a_row(_values(environ.get(self._remote, "")))
        told = {}
        for fact, key in self._fields:
            field = environ.get(key)
            if field is None:
                continue
            if "," in field:
                values = _values(field)
                trusted = values[-hops:]
                if not trusted:
                    continue
                field = trusted[0]
                if key in changes:
                    changes[key] = ", ".join(trusted)
            else:
                changes.pop(key, None)
            if field:
                told[fact] = field
        if told:
            self._take(environ, changes, told)

    def _read_forwarded(self, environ: Environ, changes: Changes) -> None:
        """Read ``Forwarded``, all facts from one element.

        :raises webob.exc.HTTPBadRequest: if it is not what it should be.
        """
        field = environ.get("HTTP_FORWARDED")
        if field is None:
            return
        try:
            elements = parse_forwarded(field)
        except ValueError:
            raise _refusal("Forwarded", field) from None
        if elements:
            hops = self._hops
            if hops is None:
                hops = self._trusted_in_a_row([e.get("for", "unknown") for e in elements])
            elements = elements[-hops:]
            changes["HTTP_FORWARDED"] = dump_forwarded(elements)
            self._take(environ, changes, elements[0])

    def _take(self, environ: Environ, changes: Changes, told: Mapping[str, str]) -> None:
        try:
            set_told(environ, changes, told, host_too=self._base is None)
        except Unreadable as error:
            raise _refusal(error.fact, told[error.fact]) from None

    def _trusted_in_a_row(self, chain: Sequence[str]) -> int:
        """How many proxies in a row are trusted, from the peer, who is, to the left."""
        hops = 1
        for element in chain[:0:-1]:
            try:
                address = parse_node(element).address
            except ValueError:
                break
            if not (address and self._peers.hold(address)):
                break
            hops += 1
        return hops


def _refusal(told: str, value: str) -> HTTPBadRequest:
    logger.warning("a trusted proxy tells what cannot be read as %s: %.200r", told, value)
    return HTTPBadRequest("A field that tells where this request comes from cannot be read.")


def _values(field: str) -> list[str]:
    """The elements of a field that is a list (RFC 9110, section 5.6.1), empty ones left out."""
    if "," not in field:  # what most are
        return [field]
    return [value for part in field.split(",") if (value := part.strip(" \t"))]


def _key(option: str, name: object) -> str:
    """The key in the environ of a field that an option names; "" for none."""
    if not name:
        return ""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise ValueError(f"{option} must be the name of a header field, got {name!r}")
    return "HTTP_" + name.upper().replace("-", "_")


def _parse_base(base: str | None) -> tuple[Origin | None, str]:
    """Scheme and host of ``base``, and its path.

    :raises ValueError: if it is not the URL of a site.
    """
    if not base:
        return None, ""
    scheme, separator, rest = base.rpartition("://")
    host, slash, path = rest.partition("/")
    try:
        return parse_origin(scheme + separator + host), parse_prefix(slash + path)
    except ValueError:
        raise ValueError(f"base must be such as 'https://example.org', got {base!r}") from None
