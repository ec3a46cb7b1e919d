"""Tell browsers what a page may not do, and what may not be done with it."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass

from webob import Request, Response

from cptoolkit.middleware.fields import checked, put_defaults
from cptoolkit.middleware.layer import Layer

NONCE = "cptoolkit.csp_nonce"
"""Where in the environ the nonce of the request is, if the policy has a place for one."""

PLACE = "{nonce}"
"""What stands for the nonce in a policy."""

YEAR = 31_536_000  # seconds; what the preload lists of browsers ask for at least


@dataclass(kw_only=True, eq=False)
class SecureHeaders(Layer):
    """Send the header fields that protect a site's users, each unless the application has set it.

    Every field is an option: its value, or None to leave it out. What a page needs beside the
    defaults it sets itself, or its own path in the config does.

    :raises ValueError: if a value could not be sent, or the options about HSTS contradict.
    """

    # Of the reference's two policies the second says, in newer browsers, what the first does.
    # frame-ancestors is left to the field below: it would overrule one that a page has set.
    content_security_policy: str | None = "default-src 'self'; base-uri 'self'"
    """From where a page may load what. For scripts and styles that stand in the page itself,
    write ``{nonce}`` into it: ``script-src 'nonce-{nonce}'``. Each request gets a nonce of its
    own, which the page finds in ``environ["cptoolkit.csp_nonce"]``; such a page must not be
    cached."""

    frame_options: str | None = "DENY"
    """Which sites may show a page in a frame: DENY or SAMEORIGIN (RFC 7034)."""

    content_type_options: str | None = "nosniff"
    """That what is sent is what its Content-Type says, and nothing else."""

    referrer_policy: str | None = "strict-origin-when-cross-origin"
    """What other sites learn of the page that a link was on."""

    cross_origin_opener_policy: str | None = "same-origin"
    """Which windows may reach into the page's: only those of the same site."""

    # The reference's "1; mode=block" turned on a filter that could itself be used to attack a
    # page, so browsers have taken it out again; 0 turns it off where it is left.
    xss_protection: str | None = "0"
    """The filter against injected scripts in old browsers."""

    permissions_policy: str | None = None
    """What a page may use of the device: ``camera=(), geolocation=()``."""

    hsts_max_age: int | None = YEAR
    """Seconds for which browsers stay on HTTPS, told over HTTPS alone (RFC 6797); 0 makes them
    forget, None tells nothing."""

    hsts_subdomains: bool = False
    """Whether every subdomain stays on HTTPS too."""

    hsts_preload: bool = False
    """Whether the site may be put into the lists that browsers come with. Hard to take back."""

    def __post_init__(self) -> None:
        super().__post_init__()
        named = [
            ("Content-Security-Policy", self.content_security_policy),
            ("X-Frame-Options", self.frame_options),
            ("X-Content-Type-Options", self.content_type_options),
            ("Referrer-Policy", self.referrer_policy),
            ("Cross-Origin-Opener-Policy", self.cross_origin_opener_policy),
            ("X-XSS-Protection", self.xss_protection),
            ("Permissions-Policy", self.permissions_policy),
        ]
        self._fields = [checked(name, value) for name, value in named if value]
        self._fields_over_tls = [*self._fields, *self._hsts()]
        self._names = frozenset(name.lower() for name, _ in self._fields_over_tls)
        self._has_nonce = PLACE in (self.content_security_policy or "")

    def _hsts(self) -> list[tuple[str, str]]:
        """The field Strict-Transport-Security, if it is to be sent."""
        age = self.hsts_max_age
        if age is not None and (type(age) is not int or age < 0):
            raise ValueError(f"hsts_max_age must be 0 or more seconds, or None, got {age!r}")
        if self.hsts_preload and not (self.hsts_subdomains and age is not None and age >= YEAR):
            raise ValueError(
                f"hsts_preload needs hsts_subdomains and a hsts_max_age of {YEAR} or more, got "
                f"hsts_subdomains={self.hsts_subdomains} and hsts_max_age={age}"
            )
        if age is None:
            return []
        policy = f"max-age={age}"
        if self.hsts_subdomains:
            policy += "; includeSubDomains"
        if self.hsts_preload:
            policy += "; preload"
        return [("Strict-Transport-Security", policy)]

    def before(self, request: Request) -> None:
        if self._has_nonce:
            _nonce(request)

    def after(self, request: Request, response: Response) -> None:
        environ = request.environ
        items = self._fields_over_tls if environ["wsgi.url_scheme"] == "https" else self._fields
        if self._has_nonce:
            (name, policy), *rest = items
            items = [(name, policy.replace(PLACE, _nonce(request))), *rest]
        put_defaults(response.headerlist, items, self._names)


def _nonce(request: Request) -> str:
    """The nonce of a request: 128 random bits, as the CSP specification asks for."""
    nonce: str | None = request.environ.get(NONCE)
    if nonce is None:
        nonce = request.environ[NONCE] = b64encode(os.urandom(16)).decode("ascii")
    return nonce
