"""Ask for a name and a password: HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import logging
import os
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest, digest
from threading import Lock

from webob import Request, Response
from webob.exc import HTTPBadRequest, HTTPUnauthorized

from cptoolkit.middleware.auth import credentials
from cptoolkit.middleware.layer import Layer

logger = logging.getLogger("cptoolkit.auth")

CheckPassword = Callable[[str, str, str], object]
"""``(realm, username, password)`` -> whether they are right."""

MOST_REMEMBERED = 1_000
"""Right passwords that :func:`checkpassword_hashes` need not check again."""


@dataclass(kw_only=True, eq=False)
class BasicAuth(Layer):
    """Let only those through who send a name and a password that are right.

    The name is then in ``environ["REMOTE_USER"]``, as text, and in an Application in
    ``request.login``. Anybody else gets a 401, and loses a ``REMOTE_USER`` from further out.
    Credentials that cannot be read get a 400. Password and name travel in the clear: use TLS.
    """

    realm: str
    """What browsers name when they ask for the password."""
    checkpassword: CheckPassword
    """Called with realm, user name and password; says whether they are right. See
    :func:`checkpassword_dict` and :func:`checkpassword_hashes`."""
    accept_charset: str = "utf-8"
    """The encoding of name and password; ISO-8859-1 where they are not in it. Clients are told
    if it is UTF-8, the one that RFC 7617, section 2.1 lets them be told."""
    debug: bool = False
    """Whether to log why a request is refused, to the logger ``cptoolkit.auth`` at level INFO."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.checkpassword):
            raise TypeError(
                "checkpassword must be a function of realm, username and password,"
                f" got {type(self.checkpassword).__name__}"
            )
        self._charset = credentials.codec_name(self.accept_charset)
        self._challenge = f'Basic realm="{credentials.realm_value(self.realm)}"'
        if self._charset == "utf-8":
            self._challenge += ', charset="UTF-8"'

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        scheme, token = credentials.split(environ.get("HTTP_AUTHORIZATION", ""))
        reason = "no credentials"
        if scheme == "basic":
            username, password = parse_basic(token, self._charset)
            if self.checkpassword(self.realm, username, password):
                environ["REMOTE_USER"] = username
                environ["AUTH_TYPE"] = "Basic"
                return None
            reason = f"wrong name or password for {username!r}"
        environ.pop("REMOTE_USER", None)
        environ.pop("AUTH_TYPE", None)
        if self.debug:
            logger.info("basic auth, realm %r: %s", self.realm, reason)
        raise HTTPUnauthorized(
            "You are not authorized to access that resource",
            headers=[("WWW-Authenticate", self._challenge)],
        )


def parse_basic(token: str, charset: str = "utf-8") -> tuple[str, str]:
    """User name and password of Basic credentials (RFC 7617, section 2).

    :param token: what follows the name of the scheme.
    :param charset: the encoding they should be in.
    :raises webob.exc.HTTPBadRequest: if they cannot be read, or have control characters.
    """
    try:
        raw = b64decode(token, validate=True)
    except ValueError:
        raise HTTPBadRequest("The credentials are not in Base64.") from None
    username, colon, password = credentials.decode_text(raw, charset).partition(":")
    if not colon:
        raise HTTPBadRequest("The credentials lack the colon between name and password.")
    if credentials.has_control_characters(username + password):
        raise HTTPBadRequest("The credentials have control characters.")
    return username, password


def checkpassword_dict(user_password_dict: Mapping[str, str]) -> CheckPassword:
    """A function for ``checkpassword`` that looks in a mapping of names to plain passwords.

    How long it takes tells nothing of them, nor whether there is such a user. A user whose
    password is empty cannot get in.

    :param user_password_dict: may change while it is in use.
    """

    def checkpassword(realm: str, username: str, password: str) -> bool:
        right = user_password_dict.get(username) or ""
        # The time depends on the length of the second argument: on what the client has sent.
        same = compare_digest(right.encode(), password.encode())
        return same and bool(right)

    return checkpassword


def checkpassword_hashes(user_hash_dict: Mapping[str, str]) -> CheckPassword:
    """A function for ``checkpassword`` that looks in a mapping of names to password hashes.

    The hashes are those of :func:`werkzeug.security.generate_password_hash`. They are slow on
    purpose, and clients send a password with every request: what was right is remembered, in
    memory and as a keyed digest, until the user's hash changes. A wrong password, and a user
    that there is not, always cost the full time.

    :param user_hash_dict: may change while it is in use.
    """
    from werkzeug.security import check_password_hash  # not above: its import takes time

    key = os.urandom(32)
    remembered: OrderedDict[bytes, None] = OrderedDict()
    lock = Lock()

    def checkpassword(realm: str, username: str, password: str) -> bool:
        stored = user_hash_dict.get(username)
        # Someone else's, so that an unknown user costs as much.
        measure = stored or next(iter(user_hash_dict.values()), None)
        if not measure:
            return False
        seen = digest(key, "\0".join((measure, username, password)).encode(), "sha256")
        with lock:
            known = stored is not None and seen in remembered
        if known:
            return True
        right = check_password_hash(measure, password) and bool(stored)
        if right:
            with lock:
                remembered[seen] = None
                if len(remembered) > MOST_REMEMBERED:
                    remembered.popitem(last=False)
        return right

    return checkpassword
