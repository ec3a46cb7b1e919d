"""Certificates in the words of mod_ssl."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers.certificate_environ import Certificate, dump_name

NOW = datetime.now(timezone.utc)


def certificate(**changes):
    parts = {
        "pem": "PEM\n",
        "version": 3,
        "serial": "0A",
        "subject": ((("C", "DE"),), (("OU", "a"),), (("OU", "b"), ("CN", "c"))),
        "issuer": ((("CN", "ca"),),),
        "start": datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone.utc),
        "end": NOW + timedelta(days=2, hours=1),
        "dns": ("a.example", "b.example"),
        "email": ("a@example.com",),
    }
    return Certificate(**{**parts, **changes})


def test_every_part_has_a_variable():
    environ = certificate().environ("CLIENT")
    end = environ.pop("SSL_CLIENT_V_END")
    assert end.endswith(" GMT")
    assert environ == {
        "SSL_CLIENT_CERT": "PEM\n",
        "SSL_CLIENT_M_VERSION": "3",
        "SSL_CLIENT_M_SERIAL": "0A",
        "SSL_CLIENT_S_DN": "OU=b+CN=c,OU=a,C=DE",
        "SSL_CLIENT_S_DN_C": "DE",
        "SSL_CLIENT_S_DN_OU": "a",
        "SSL_CLIENT_S_DN_OU_1": "b",
        "SSL_CLIENT_S_DN_CN": "c",
        "SSL_CLIENT_I_DN": "CN=ca",
        "SSL_CLIENT_I_DN_CN": "ca",
        "SSL_CLIENT_V_START": "Feb  3 04:05:06 2001 GMT",
        "SSL_CLIENT_V_REMAIN": "2",
        "SSL_CLIENT_SAN_DNS_0": "a.example",
        "SSL_CLIENT_SAN_DNS_1": "b.example",
        "SSL_CLIENT_SAN_Email_0": "a@example.com",
    }


def test_time_left_is_told_of_clients_alone():
    assert "SSL_SERVER_V_REMAIN" not in certificate().environ("SERVER")


def test_nothing_is_left_of_an_expired_one():
    expired = certificate(end=NOW - timedelta(days=3))
    assert expired.environ("CLIENT")["SSL_CLIENT_V_REMAIN"] == "0"


def test_values_are_native_strings():
    environ = certificate(subject=((("CN", "Łódź"),),)).environ("CLIENT")
    assert environ["SSL_CLIENT_S_DN_CN"].encode("latin-1").decode() == "Łódź"  # PEP 3333


def test_type_without_a_name_is_in_the_whole_alone():
    environ = certificate(subject=((("1.2.3", "x"),),)).environ("CLIENT")
    assert environ["SSL_CLIENT_S_DN"] == "1.2.3=x"
    assert not [name for name in environ if name.startswith("SSL_CLIENT_S_DN_")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain = text", "plain = text"),
        ("Doe, Joe", r"Doe\, Joe"),
        ("a+b", r"a\+b"),
        ('"a"', r"\"a\""),
        ("a\\b", r"a\\b"),
        ("<a>;", r"\<a\>\;"),
        ("#a#", r"\#a#"),
        (" a ", r"\ a\ "),
        (" ", r"\ "),
        ("a\0b", r"a\00b"),
        ("a\n", r"a\0A"),
        ("Łódź", "Łódź"),
        ("", ""),
    ],
)
def test_value_is_escaped_as_rfc_4514_says(value, text):
    assert dump_name(((("CN", value),),)) == f"CN={text}"


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=16)


@given(st.lists(PRINTABLE, min_size=1))
def test_no_value_can_pose_as_another_part(values):
    # What is read back by somebody else's parser is what was written.
    text = dump_name(tuple((("CN", value),) for value in values))
    assert [part.value for part in x509.Name.from_rfc4514_string(text)] == values
