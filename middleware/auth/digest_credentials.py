"""The answer of a client to a digest challenge: what it says, and what it should say (RFC 7616)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from cptoolkit.middleware.auth import credentials
from cptoolkit.middleware.auth.ha1 import HASHES

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SESSION = "-sess"
"""How the names of algorithms end that hash nonce and cnonce into A1."""

_NEEDED = ("realm", "nonce", "uri", "response", "qop", "cnonce", "nc")
_COUNT = re.compile("[0-9a-fA-F]{8}")
_ESCAPE = re.compile("%[0-9a-f]{2}", re.IGNORECASE)
_AUTHORITY = re.compile("[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")


@dataclass(frozen=True)
class DigestCredentials:
    """The parameters of an ``Authorization`` field (RFC 7616, section 3.4).

    All but the user name are as they were sent, each character standing for one byte.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    cnonce: str
    nc: str

    @classmethod
    def parse(cls, text: str, charset: str = "utf-8") -> DigestCredentials:
        """Read what follows the name of the scheme.

        :param charset: the encoding that the user name should be in.
        :raises ValueError: if it is malformed, lacks a parameter, or has another ``qop`` than
            "auth". Without ``qop`` there would be no count, and nothing to tell a replay by.
        """
        sent = credentials.parse_parameters(text)
        missing = [name for name in _NEEDED if name not in sent]
        if missing:
            raise ValueError(f"there is no {missing[0]}")
        if sent["qop"].lower() != "auth":
            raise ValueError("the qop must be auth")
        if not _COUNT.fullmatch(sent["nc"]):
            raise ValueError("the nc must be 8 hex digits")
        username = _username(sent, charset)
        if credentials.has_control_characters(username):
            raise ValueError("the user name has control characters")
        return cls(
            username=username,
            realm=sent["realm"],
            nonce=sent["nonce"],
            uri=sent["uri"],
            response=sent["response"],
            algorithm=sent.get("algorithm", "MD5"),
            cnonce=sent["cnonce"],
            nc=sent["nc"],
        )

    @property
    def count(self) -> int:
        """How many requests the client says it has sent with this nonce, this one included."""
        return int(self.nc, 16)

    def is_for(self, environ: WSGIEnvironment) -> bool:
        """Whether the uri is that of the request (section 3.4.6).

        Compared are the path, decoded, and the query, with what the request line said, or with
        what the host made of it: proxies in between may have changed the one or the other. Scheme
        and authority are not compared, for proxies change these most of all.
        """
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        seen = [(path.encode("latin-1") or b"/", _ESCAPE.sub(_upper, query))]
        raw = environ.get("REQUEST_URI") or environ.get("RAW_URI")
        if raw:
            seen.append(_target(raw))
        return _target(self.uri) in seen

    def expected(self, ha1: str, method: str) -> str:
        """The response that someone gives who knows HA1 (sections 3.4.1 to 3.4.3).

        :param method: of the request; "" for the ``rspauth`` of the server (section 3.5).
        """
        name = self.algorithm.upper()
        hash_of = HASHES[name.removesuffix(SESSION.upper())]

        def hexed(*parts: str) -> str:
            digest: str = hash_of(":".join(parts).encode("latin-1")).hexdigest()
            return digest

        if name.endswith(SESSION.upper()):
            # That of this request, as browsers and curl have it, if it is not the first one.
            ha1 = hexed(ha1, self.nonce, self.cnonce)
        return hexed(ha1, self.nonce, self.nc, self.cnonce, "auth", hexed(method, self.uri))


def _username(sent: dict[str, str], charset: str) -> str:
    extended = sent.get("username*")
    if (extended is None) == ("username" not in sent):
        raise ValueError("there must be either username or username*")
    if extended is None:
        return credentials.decode_text(sent["username"].encode("latin-1"), charset)
    encoding, quoted, escaped = extended.partition("''")  # RFC 8187, section 3.2
    if encoding.lower() != "utf-8" or not quoted:
        raise ValueError("the username* must be in UTF-8")
    return unquote(escaped, errors="strict")


def _target(uri: str) -> tuple[bytes, str]:
    """Path, decoded, and query, its escapes in upper case, of the target of a request.

    Decoding the query would make "a=%26" the same as "a=&", which it is not.
    """
    path, _, query = _AUTHORITY.sub("", uri, count=1).partition("?")
    return unquote_to_bytes(path.encode("latin-1")) or b"/", _ESCAPE.sub(_upper, query)


def _upper(found: re.Match[str]) -> str:
    return found[0].upper()
