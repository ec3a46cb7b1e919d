import os
import signal
import threading

import pytest
from beside import at_once

from cptoolkit.process.plugins import SignalHandler


@pytest.fixture
def handler(bus):
    made = SignalHandler(bus)
    yield made
    made.unsubscribe()


def test_three_signals_are_listened_for(bus, handler):
    handler.subscribe()
    assert sorted(bus.lines) == [
        "Listening for SIGHUP.",
        "Listening for SIGTERM.",
        "Listening for SIGUSR1.",
    ]


def test_subscribing_twice_is_subscribing_once(bus, handler):
    before = signal.getsignal(signal.SIGTERM)
    handler.subscribe()
    handler.subscribe()
    assert len(bus.lines) == 3
    handler.unsubscribe()
    assert signal.getsignal(signal.SIGTERM) == before


def test_unsubscribing_restores_what_was_there(bus, handler):
    def mine(signum, frame): ...

    previous = signal.signal(signal.SIGUSR1, mine)
    try:
        handler.subscribe()
        handler.unsubscribe()
        assert signal.getsignal(signal.SIGUSR1) is mine
        assert "Restoring SIGTERM handler to SIG_DFL." in bus.lines
        assert bus.publish("SIGUSR1") == []
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_setting_a_signal_twice_does_not_forget_what_was_there(handler):
    before = signal.getsignal(signal.SIGUSR2)
    handler.set_handler("SIGUSR2")
    handler.set_handler("SIGUSR2")
    handler.unsubscribe()
    assert signal.getsignal(signal.SIGUSR2) == before


def test_unknown_signal_is_refused(handler):
    with pytest.raises(ValueError, match="there is no signal 'SIGNOPE'"):
        handler.set_handler("SIGNOPE")


@pytest.mark.parametrize("name", ["SIGUSR2", signal.SIGUSR2, int(signal.SIGUSR2)])
def test_signal_is_set_by_name_or_number(bus, handler, name):
    caught = threading.Event()
    handler.set_handler(name, caught.set)
    os.kill(os.getpid(), signal.SIGUSR2)
    assert caught.wait(20)
    assert bus.lines[:2] == ["Listening for SIGUSR2.", "Caught signal SIGUSR2."]


def test_handlers_may_be_changed_before_subscribing(bus, handler):
    caught = threading.Event()
    handler.handlers = {"SIGUSR2": caught.set}
    handler.subscribe()
    os.kill(os.getpid(), signal.SIGUSR2)
    assert caught.wait(20)


def test_outside_of_the_main_thread_there_is_a_warning(bus, handler):
    at_once(handler.subscribe)
    assert len(bus.lines) == 3
    assert all(line.startswith("Not listening for SIG") for line in bus.lines)
    assert set(bus.levels) == {30}


def test_listener_may_take_locks_that_the_interrupted_code_holds(bus, handler):
    lock, done = threading.Lock(), threading.Event()

    def listener():
        with lock:
            done.set()

    handler.set_handler("SIGUSR2", listener)
    with lock:
        os.kill(os.getpid(), signal.SIGUSR2)  # a listener called in this frame would wait for ever
    assert done.wait(20)


BLOCKING = """
    handler = plugins.SignalHandler(bus)
    handler.subscribe()
    bus.subscribe("stop", lambda: bus.log(threading.current_thread().name))
    bus.start()
    bus.block(interval=0.01)
"""


def test_sigterm_exits_in_the_main_thread(run):
    script = run(BLOCKING)
    script.wait_for("blocking")
    script.send(signal.SIGTERM)
    assert script.end() == 0
    assert script.output[-7:] == [
        "Caught signal SIGTERM.",
        "Bus STOPPING",
        "MainThread",
        "Bus STOPPED",
        "Bus EXITING",
        "Bus EXITED",
        "Waiting for child threads to terminate...",
    ]


def test_sighup_of_a_foreground_process_exits(run):
    script = run(BLOCKING)
    script.wait_for("blocking")
    script.send(signal.SIGHUP)
    assert script.end() == 0
    assert "SIGHUP caught but not daemonized. Exiting." in script.output


def test_sigusr1_is_graceful(run):
    script = run(BLOCKING)
    script.wait_for("blocking")
    script.send(signal.SIGUSR1)
    script.wait_for("Bus graceful")
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_failing_listener_does_not_end_the_process(run):
    script = run("""
        handler = plugins.SignalHandler(bus)
        handler.handlers["SIGUSR1"] = lambda: 1 / 0
        handler.subscribe()
        bus.start()
        bus.block(interval=0.01)
    """)
    script.wait_for("blocking")
    script.send(signal.SIGUSR1)
    script.wait_for("ZeroDivisionError")
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_sigterm_exits_though_nobody_blocks(run):
    script = run("""
        plugins.SignalHandler(bus).subscribe()
        bus.start()
        bus.wait(bus.states.EXITING, interval=100)
        bus.log("on my own")
    """)
    script.wait_for("Bus STARTED")
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_many_signals_at_once_exit_once(run, tmp_path):
    # One that came while the interpreter goes, which restores what Python found, would kill it.
    os.mkfifo(tmp_path / "all-sent")
    script = run('    bus.subscribe("exit", lambda: open("all-sent").close())\n' + BLOCKING)
    script.wait_for("blocking")
    for _ in range(5):
        script.send(signal.SIGTERM)
        script.send(signal.SIGUSR1)
    (tmp_path / "all-sent").open("w").close()
    assert script.end() == 0
    assert script.output.count("Bus EXITED") == 1


def test_without_the_plugin_sigterm_kills(run):
    script = run("bus.start(); bus.block()")
    script.wait_for("Bus STARTED")
    script.send(signal.SIGTERM)
    assert script.end() == -signal.SIGTERM
