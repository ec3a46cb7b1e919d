"""The server's options as flags of ``cptoolkit run``."""

from __future__ import annotations

import argparse

import pytest

from cptoolkit.server_flags import _descriptions, _flags, add_server_flags, server_settings

FLAGS = [
    (["--host", "::1"], "server.socket_host", "::1"),
    (["--host", ""], "server.socket_host", None),
    (["--port", "80"], "server.socket_port", 80),
    (["--socket-file", "s"], "server.socket_file", "s"),
    (["--socket-mode", "0660"], "server.socket_mode", "0660"),
    (["--thread-pool", "3"], "server.thread_pool", 3),
    (["--thread-pool-max", "30"], "server.thread_pool_max", 30),
    (["--peercreds"], "server.peercreds", True),
    (["--peercreds-resolve"], "server.peercreds_resolve", True),
    (["--socket-queue-size", "7"], "server.socket_queue_size", 7),
    (["--accepted-queue-size", "7"], "server.accepted_queue_size", 7),
    (["--accepted-queue-timeout", "0.5"], "server.accepted_queue_timeout", 0.5),
    (["--max-connections", "7"], "server.max_connections", 7),
    (["--max-upgrades", "7"], "server.max_upgrades", 7),
    (["--keep-alive-timeout", "1.5"], "server.keep_alive_timeout", 1.5),
    (["--socket-timeout", "1.5"], "server.socket_timeout", 1.5),
    (["--header-timeout", "1.5"], "server.header_timeout", 1.5),
    (["--body-rate", "7"], "server.body_rate", 7),
    (["--max-request-line-size", "7"], "server.max_request_line_size", 7),
    (["--max-request-header-size", "7"], "server.max_request_header_size", 7),
    (["--max-request-body-size", "7"], "server.max_request_body_size", 7),
    (["--request-body-buffer", "7"], "server.request_body_buffer", 7),
    (["--stream-rate", "7"], "server.stream_rate", 7),
    (["--response-buffer", "7"], "server.response_buffer", 7),
    (["--shutdown-timeout", "1.5"], "server.shutdown_timeout", 1.5),
    (["--server-name", "a"], "server.server_name", "a"),
    (["--protocol-version", "HTTP/1.0"], "server.protocol_version", "HTTP/1.0"),
    (["--no-nodelay"], "server.nodelay", False),
    (["--reuse-port"], "server.reuse_port", True),
    (["--protocol", "scgi"], "server.protocol", "scgi"),
    (["--proxy-protocol", "10.0.0.0/8"], "server.proxy_protocol", "10.0.0.0/8"),
    (["--ssl-certificate", "a"], "server.ssl_certificate", "a"),
    (["--ssl-private-key", "a"], "server.ssl_private_key", "a"),
    (["--ssl-certificate-chain", "a"], "server.ssl_certificate_chain", "a"),
    (["--ssl-ciphers", "a"], "server.ssl_ciphers", "a"),
    (["--ssl-client-ca", "a"], "server.ssl_client_ca", "a"),
    (["--ssl-verify-client", "optional"], "server.ssl_verify_client", "optional"),
    (["--ssl-module", "pyopenssl"], "server.ssl_module", "pyopenssl"),
    (["--processes", "2"], "server.processes", 2),
    (["--statistics"], "server.statistics", True),
]


def settings(*words):
    parser = argparse.ArgumentParser()
    add_server_flags(parser)
    return server_settings(parser.parse_args(words))


@pytest.mark.parametrize(("words", "setting", "value"), FLAGS, ids=lambda each: str(each))
def test_flag_is_a_setting_of_the_server(words, setting, value):
    assert settings(*words) == {setting: value}


def test_every_flag_is_in_that_table():
    tested = {words[0].replace("--no-", "--") for words, _, _ in FLAGS}
    assert tested == {f"--{field.name.replace('_', '-')}" for field in _flags()}


def test_what_is_not_given_is_left_to_config():
    assert settings() == {}


def test_wrong_value_is_told_in_the_words_of_the_command_line():
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 70000"):
        settings("--port", "70000")


def test_help_describes_every_flag():
    assert set(_descriptions()) >= {field.name for field in _flags()}


def test_help_shows_the_default_that_the_setting_has(capsys):
    parser = argparse.ArgumentParser()
    add_server_flags(parser)
    shown = " ".join(parser.format_help().split())
    assert "Longest fields of a request together" in shown
    assert "have the same limit. (default: 512000)" in shown
    assert "every interface. (default: 127.0.0.1)" in shown
    assert "are counted, see Server.statistics. (default: False)" in shown
    assert "`" not in shown
    assert "(default: )" not in shown


def test_password_is_no_flag_as_everybody_can_read_command_lines():
    parser = argparse.ArgumentParser()
    add_server_flags(parser)
    assert "password" not in parser.format_help()
