"""What a certificate tells an application, by the names of Apache's mod_ssl."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

Name = tuple[tuple[tuple[str, str], ...], ...]
"""A distinguished name (RFC 5280, section 4.1.2.4): what belongs together, as (type, value)."""

# Types as in the variables of mod_ssl, by the names that OpenSSL has for them.
SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "emailAddress": "Email",
    "givenName": "G",
    "initials": "I",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "surname": "S",
    "title": "T",
    "userId": "UID",
}

# RFC 4514, section 2.4.
_SPECIAL = re.compile(r'[,+"\\<>;]|^[ #]| \Z')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Certificate:
    """A certificate that a library has taken apart, and found to be trusted where that matters."""

    pem: str
    version: int
    serial: str
    """In hexadecimal notation."""
    subject: Name
    issuer: Name
    start: datetime
    end: datetime
    dns: tuple[str, ...]
    """Hosts among its alternative names."""
    email: tuple[str, ...]
    """Mail addresses among its alternative names."""

    def environ(self, who: str) -> dict[str, str]:
        """Return its variables, whose names begin with ``SSL_`` and ``who``: CLIENT or SERVER.

        Values are UTF-8 in the form of PEP 3333, each byte a character.
        """
        found = {
            "CERT": self.pem,
            "M_VERSION": str(self.version),
            "M_SERIAL": self.serial,
            "S_DN": dump_name(self.subject),
            "I_DN": dump_name(self.issuer),
            "V_START": _dump_time(self.start),
            "V_END": _dump_time(self.end),
        }
        if who == "CLIENT":
            left = self.end - datetime.now(timezone.utc)
            found["V_REMAIN"] = str(max(0, left.days))
        for prefix, name in (("S_DN", self.subject), ("I_DN", self.issuer)):
            seen: dict[str, int] = {}
            for kind, value in [pair for part in name for pair in part]:
                number = seen[kind] = seen.get(kind, -1) + 1
                if re.fullmatch("[A-Za-z]+", kind):
                    found[f"{prefix}_{kind}" + (f"_{number}" if number else "")] = value
        for kind, values in (("DNS", self.dns), ("Email", self.email)):
            found.update((f"SAN_{kind}_{number}", value) for number, value in enumerate(values))
        return {f"SSL_{who}_{key}": _native(value) for key, value in found.items()}


def dump_name(name: Name) -> str:
    """Return a distinguished name as text (RFC 4514, section 2): the most specific part first."""
    return ",".join(
        "+".join(f"{kind}={_escape(value)}" for kind, value in part) for part in reversed(name)
    )


def _escape(value: str) -> str:
    value = _SPECIAL.sub(r"\\\g<0>", value)
    return _CONTROL.sub(lambda match: f"\\{ord(match[0]):02X}", value)


def _dump_time(moment: datetime) -> str:
    # As OpenSSL writes it, whatever the locale.
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S %Y} GMT"


def _native(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
