"""Which clients are on this machine."""

import pytest

from cptoolkit.middleware.forwarding.local import is_local

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "app.localhost:80", "127.0.0.1:8080", "[::1]:8080", "[::1]"],
)
def test_loopback_address_and_name_are_local(address, host):
    assert is_local({"REMOTE_ADDR": address, "HTTP_HOST": host})


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::", "", "localhost", "127.0.0.1%x"])
def test_other_address_is_not(address):
    assert not is_local({**LOCAL, "REMOTE_ADDR": address})


@pytest.mark.parametrize(
    "host", ["", "a.example", "localhost.example", "evillocalhost", "127.0.0.1.example", "[::1]x"]
)
def test_other_name_is_not(host):
    assert not is_local({**LOCAL, "HTTP_HOST": host})


@pytest.mark.parametrize(
    ("site", "mode", "local"),
    [
        ("cross-site", "cors", False),
        ("cross-site", "no-cors", False),
        ("cross-site", "navigate", True),
        ("same-origin", "cors", True),
        ("none", "navigate", True),
    ],
)
def test_script_of_another_site_is_not(site, mode, local):
    asked = {"HTTP_SEC_FETCH_SITE": site, "HTTP_SEC_FETCH_MODE": mode}
    assert is_local({**LOCAL, **asked}) is local


def test_request_without_name_or_address_is_not():
    assert not is_local({"REMOTE_ADDR": "127.0.0.1"})
    assert not is_local({"HTTP_HOST": "localhost"})


@pytest.mark.parametrize(
    "key", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP"]
)
def test_nobody_behind_a_proxy_is(key):
    assert not is_local({**LOCAL, key: "127.0.0.1"})


def test_nobody_is_whose_address_the_layer_proxy_has_changed():
    assert not is_local({**LOCAL, "cptoolkit.proxy.original": {}})
