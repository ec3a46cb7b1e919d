"""Ask for proof that the client knows a password: HTTP Digest authentication (RFC 7616)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from webob import Request, Response
from webob.exc import HTTPBadRequest, HTTPUnauthorized

from cptoolkit.middleware import fields
from cptoolkit.middleware.auth import credentials
from cptoolkit.middleware.auth.digest_credentials import SESSION, DigestCredentials
from cptoolkit.middleware.auth.ha1 import HASHES, algorithm_of, make_ha1
from cptoolkit.middleware.auth.nonces import PROCESS_KEY, nonces
from cptoolkit.middleware.layer import Layer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("cptoolkit.auth")

ACCEPTED = "cptoolkit.digest_auth"
"""Where in the environ the credentials are left that have been accepted."""


class Accepted(NamedTuple):
    """Credentials whose uri and count are right for a request, wherever it is handed on to."""

    field: str
    """The ``Authorization`` field."""
    method: str
    """The method that came with it."""
    info: str
    """The ``Authentication-Info`` for the response."""


@dataclass(kw_only=True, eq=False)
class DigestAuth(Layer):
    """Let only those through who prove that they know the password of a user.

    The name is then in ``environ["REMOTE_USER"]``, as text, and in an Application in
    ``request.login``; the response proves with ``Authentication-Info`` that the server knows
    the password too. Anybody else gets a 401, and loses a ``REMOTE_USER`` from further out.
    Credentials that cannot be read, or are for another URI, get a 400.

    Clients answer the first challenge whose algorithm they know (section 3.7). Some fail if that
    is not the first of all, such as Python's urllib before 3.14, which knows MD5 alone: so MD5
    comes first. Where no client is like that, have ``algorithms=["SHA-256", "MD5"]``. Bodies are
    not protected (``qop=auth-int``): that would mean to read them first.

    A request that comes a second time is a replay, and gets a 401 with ``stale=true``, upon
    which clients try again by themselves. Of several processes each knows of its own requests
    alone.

    :raises ValueError: if ``get_ha1`` cannot serve the algorithms, or none of them is to be had.
    """

    realm: str
    """What browsers name when they ask for the password; part of what is hashed."""
    get_ha1: Callable[..., str | None]
    """Called with realm and user name; gives HA1 in hex, or None for an unknown user. See
    :mod:`cptoolkit.middleware.auth.ha1`. One with a parameter ``algorithm`` can serve several."""
    key: str | bytes | None = field(default=None, repr=False)
    """Signs the nonces: any secret, the same in all processes that serve the site. Without one
    it is random, and nonces of another process count as stale."""
    accept_charset: str = "utf-8"
    """The encoding of user names; ISO-8859-1 where they are not in it. Clients are told if it is
    UTF-8, the one that section 4 lets them be told. HA1 is always made of UTF-8."""
    algorithms: Sequence[str] | None = None
    """"MD5", "SHA-256", or these with "-sess", the first choice first. None means all that
    ``get_ha1`` can serve, MD5 first; that is MD5 alone for a function of realm and username."""
    nonce_lifetime: float = 600
    """Seconds for which a nonce is good; then clients get another without asking the user."""
    debug: bool = False
    """Whether to log why a request is refused, to the logger ``cptoolkit.auth`` at level INFO."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.get_ha1):
            raise TypeError(
                "get_ha1 must be a function of realm and username,"
                f" got {type(self.get_ha1).__name__}"
            )
        if self.nonce_lifetime <= 0:
            raise ValueError(f"nonce_lifetime must be above 0 seconds, got {self.nonce_lifetime}")
        self._nonces = nonces(_key_bytes(self.key), self.nonce_lifetime)
        self._charset = credentials.codec_name(self.accept_charset)
        self._realm = credentials.realm_value(self.realm)
        self._flexible = "algorithm" in inspect.signature(self.get_ha1).parameters
        chosen = self._choose_algorithms()
        self._known = {name.upper(): _base(name) for name in chosen}
        charset = ", charset=UTF-8" if self._charset == "utf-8" else ""
        self._challenges = [f'algorithm={name}, qop="auth"{charset}' for name in chosen]

    def _choose_algorithms(self) -> list[str]:
        chosen = self.algorithms
        if chosen is None:
            every = tuple(HASHES) if self._flexible else ("MD5",)
            # Where MD5 is switched off (FIPS 140) the others have to do.
            able = [name for name in getattr(self.get_ha1, "algorithms", every) if _works(name)]
            if not able:
                raise ValueError("get_ha1 serves MD5 alone, and this Python has it switched off")
            return able
        if isinstance(chosen, str) or not chosen:
            raise ValueError(f"algorithms must be a list of names or None, got {chosen!r}")
        bases = [_base(name) for name in chosen]
        served = getattr(self.get_ha1, "algorithms", bases)
        if missing := [name for name in bases if name not in served]:
            raise ValueError(f"algorithms: get_ha1 has no HA1 of {missing[0]} for every user")
        if not self._flexible and len(set(bases)) > 1:
            raise ValueError(
                f"algorithms {list(chosen)!r} need a get_ha1 with a parameter 'algorithm'"
            )
        if unable := [name for name in bases if not _works(name)]:
            raise ValueError(f"algorithms: this Python has {unable[0]} switched off")
        return [_spelled(name) for name in chosen]

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        sent = environ.get("HTTP_AUTHORIZATION", "")
        scheme, rest = credentials.split(sent)
        if scheme != "digest":
            raise self._refusal(environ, "no credentials")
        try:
            answer = DigestCredentials.parse(rest, self._charset)
        except ValueError as error:
            raise HTTPBadRequest(
                f"The Authorization header could not be parsed: {error}."
            ) from None
        if answer.realm != self._realm or answer.algorithm.upper() not in self._known:
            raise self._refusal(environ, f"realm {answer.realm!r}, {answer.algorithm!r}")

        # A request that is handed on within the server has been looked at in these two points.
        accepted: Accepted | None = environ.get(ACCEPTED)
        again = accepted is not None and accepted.field == sent
        method = accepted.method if accepted and again else environ["REQUEST_METHOD"]
        if not again and not answer.is_for(environ):
            raise HTTPBadRequest("The credentials are for another URI.")

        ha1 = self._ha1_of(answer)
        # Of an unknown user the response is computed too, to take as long.
        expected = answer.expected(ha1 or "", method)
        right = compare_digest(expected.encode(), answer.response.encode("latin-1"))
        if not right or ha1 is None:
            raise self._refusal(environ, f"wrong name or password for {answer.username!r}")
        if not again:
            if not self._nonces.is_good(answer.nonce):
                raise self._refusal(environ, f"an old nonce from {answer.username!r}", stale=True)
            if not self._nonces.use(answer.nonce, answer.count):
                raise self._refusal(environ, f"a replay for {answer.username!r}", stale=True)
            environ[ACCEPTED] = Accepted(sent, method, _info(answer, ha1))
        environ["REMOTE_USER"] = answer.username
        environ["AUTH_TYPE"] = "Digest"
        return None

    def after(self, request: Request, response: Response) -> None:
        accepted: Accepted | None = request.environ.get(ACCEPTED)
        if accepted is not None:
            fields.put_default(response.headerlist, "Authentication-Info", accepted.info)

    def _ha1_of(self, answer: DigestCredentials) -> str | None:
        base = self._known[answer.algorithm.upper()]
        options = {"algorithm": base} if self._flexible else {}
        ha1 = self.get_ha1(self.realm, answer.username, **options)
        if not ha1:
            return None
        if algorithm_of(ha1) != base:
            raise ValueError(f"get_ha1 must give an HA1 of {base}, got {len(ha1)} hex digits")
        return ha1.lower()

    def _refusal(self, environ: WSGIEnvironment, why: str, stale: bool = False) -> HTTPUnauthorized:
        environ.pop("REMOTE_USER", None)
        environ.pop("AUTH_TYPE", None)
        if self.debug:
            logger.info("digest auth, realm %r: %s", self.realm, why)
        start = f'Digest realm="{self._realm}", nonce="{self._nonces.make()}", '
        end = ", stale=true" if stale else ""
        headers = [("WWW-Authenticate", start + middle + end) for middle in self._challenges]
        return HTTPUnauthorized("You are not authorized to access that resource", headers=headers)


def _info(answer: DigestCredentials, ha1: str) -> str:
    """What proves to the client that the server knows the password (section 3.5)."""
    cnonce = answer.cnonce.replace("\\", "\\\\").replace('"', '\\"')
    rspauth = answer.expected(ha1, "")
    return f'rspauth="{rspauth}", qop=auth, cnonce="{cnonce}", nc={answer.nc}'


def _key_bytes(key: str | bytes | None) -> bytes:
    if key is None:
        return PROCESS_KEY
    if not isinstance(key, (str, bytes)):
        raise TypeError(f"key must be a str, bytes or None, got {type(key).__name__}")
    if not key:
        raise ValueError("key must have a character at least, got an empty one")
    return key.encode() if isinstance(key, str) else key


def _base(name: str) -> str:
    base = name.upper().removesuffix(SESSION.upper())
    if base not in HASHES:
        known = ", ".join([*HASHES, *(algorithm + SESSION for algorithm in HASHES)])
        raise ValueError(f"algorithms must be some of {known}, got {name!r}")
    return base


def _spelled(name: str) -> str:
    return _base(name) + (SESSION if name.lower().endswith(SESSION) else "")


def _works(algorithm: str) -> bool:
    try:
        make_ha1("", "", "", algorithm)
    except ValueError:
        return False
    return True
