import pytest

from cptoolkit.process.namespace import engine_namespace, server_namespace
from cptoolkit.process.plugins import Autoreloader
from cptoolkit.process.servers import Server


@pytest.fixture
def engine(bus):
    bus.autoreload = Autoreloader(bus)
    bus.autoreload.subscribe()
    return engine_namespace(bus)


def test_attribute_of_a_plugin_is_set(bus, engine):
    engine("autoreload.frequency", 60)
    assert bus.autoreload.frequency == 60


def test_plugin_is_switched_off_and_on(bus, engine):
    engine("autoreload.on", False)
    assert not bus.listeners["start"]
    engine("autoreload.on", True)
    engine("autoreload.on", True)
    assert bus.listeners["start"] == {bus.autoreload.start}


def test_attribute_of_the_bus_is_set(bus, engine):
    engine("join_timeout", 1)
    assert bus.join_timeout == 1


@pytest.mark.parametrize("listed", [False, True])
def test_listener_of_a_signal_is_added_to_the_others(bus, engine, listed):
    called = []
    bus.subscribe("SIGTERM", lambda: called.append("default"))

    def mine():
        called.append("mine")

    engine("SIGTERM", [mine] if listed else mine)
    bus.publish("SIGTERM")
    assert called == ["default", "mine"]


def test_no_listener_of_a_signal_changes_nothing(bus, engine):
    engine("SIGHUP", None)
    assert not bus.listeners.get("SIGHUP")


def test_listener_of_a_signal_must_be_callable(engine):
    with pytest.raises(TypeError, match="a listener of 'SIGTERM' must be callable"):
        engine("SIGTERM", 5)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("autoreload.frequenzy", "autoreload.frequency"),
        ("autoreload_on", "autoreload.on"),
        ("autorelaod.on", "autoreload.on"),
        ("join_timeot", "join_timeout"),
    ],
)
def test_unknown_key_names_the_nearest(engine, key, near):
    with pytest.raises(ValueError, match=f"no setting engine.{key}; did you mean 'engine.{near}'"):
        engine(key, 1)


@pytest.mark.parametrize(
    "key", ["subscribe", "autoreload.start", "_state", "started_in", "zzzz.on", "zzzz"]
)
def test_what_is_no_setting_is_refused(engine, key):
    with pytest.raises(ValueError, match=f"there is no setting engine.{key}"):
        engine(key, 1)


@pytest.fixture
def servers():
    return {}


@pytest.fixture
def server(bus):
    return Server(bus)


@pytest.fixture
def configure(bus, server, servers):
    return server_namespace(server, servers, lambda: Server(bus))


def test_attribute_of_the_server_is_set(server, configure):
    configure("socket_port", 9090)
    assert server.bind_addr == ("127.0.0.1", 9090)


def test_server_is_switched_off(bus, server, configure):
    server.subscribe()
    configure("on", False)
    assert not bus.listeners["start"]


def test_named_server_is_made_and_subscribed(bus, server, servers, configure):
    configure("second.socket_port", 9091)
    configure("second.thread_pool", 3)
    assert servers["second"].socket_port == 9091
    assert server.socket_port == 8080
    assert servers["second"].start in bus.listeners["start"]
    assert server.start not in bus.listeners["start"]


def test_named_server_is_switched_off(bus, servers, configure):
    configure("second.socket_port", 9091)
    configure("second.on", False)
    assert not bus.listeners["start"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sokcet_port", r"; did you mean 'server.socket_port'\?"),
        ("max_request_body", r"; did you mean 'server.max_request_body_size'\?"),
        ("environment", ""),
        ("start", ""),
        ("_socket_host", ""),
    ],
)
def test_unknown_key_of_a_server_is_refused(servers, configure, key, hint):
    with pytest.raises(ValueError, match=f"there is no setting server.{key}{hint}"):
        configure(key, 1)
    with pytest.raises(ValueError, match=f"there is no setting server.other.{key}"):
        configure(f"other.{key}", 1)
    assert servers == {}
