import os
import queue
import threading

import pytest

from cptoolkit.process.plugins import BackgroundTask, Monitor, PerpetualTimer, SimplePlugin


def test_plugin_listens_on_the_channels_its_methods_are_named_after(bus):
    calls = []

    class Plugin(SimplePlugin):
        def start(self):
            calls.append("start")

        def mine(self, value):
            calls.append(value)

    bus.listeners["mine"] = set()
    plugin = Plugin(bus)
    plugin.subscribe()
    bus.start()
    bus.publish("mine", 5)
    plugin.unsubscribe()
    bus.publish("mine", 6)
    assert calls == ["start", 5]


@pytest.mark.parametrize("kind", [PerpetualTimer, BackgroundTask])
def test_task_repeats_until_cancelled(kind):
    enough = threading.Semaphore(0)
    task = kind(0.001, lambda a, b: enough.release(), [1], {"b": 2})
    task.start()
    for _ in range(3):
        assert enough.acquire(timeout=20)
    task.cancel()
    task.join(20)
    assert not task.is_alive()


@pytest.mark.parametrize("kind", [PerpetualTimer, BackgroundTask])
def test_cancelling_does_not_wait_for_the_interval(kind):
    task = kind(1000, print)
    task.start()
    task.cancel()
    task.join(20)
    assert not task.is_alive()


@pytest.mark.parametrize("kind", [PerpetualTimer, BackgroundTask])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_first_error_is_logged_and_ends_the_task(bus, kind):
    task = kind(0.001, lambda: 1 / 0, bus=bus)
    task.start()
    task.join(20)
    assert not task.is_alive()
    assert len(bus.lines) == 1
    assert "thread function <function" in bus.lines[0]
    assert "ZeroDivisionError" in bus.lines[0]
    assert bus.levels == [40]


def test_background_task_does_not_hold_the_process():
    assert BackgroundTask(1, print).daemon
    assert not PerpetualTimer(1, print).daemon


def test_monitor_runs_with_the_bus(bus):
    called = threading.Event()
    monitor = Monitor(bus, called.set, frequency=0.001, name="Sweeper")
    monitor.subscribe()
    bus.start()
    assert called.wait(20)
    bus.exit()
    assert monitor.thread is None
    assert "Started monitor thread 'Sweeper'." in bus.lines
    assert "Stopped thread 'Sweeper'." in bus.lines


def test_stopped_monitor_calls_no_more(bus):
    calls = []
    called = threading.Event()
    monitor = Monitor(bus, lambda: (calls.append(1), called.set()), frequency=0.001)
    monitor.start()
    thread = monitor.thread
    assert called.wait(20)
    monitor.stop()
    assert not thread.is_alive()


def test_monitor_without_frequency_has_no_thread(bus):
    monitor = Monitor(bus, print, frequency=0)
    monitor.start()
    assert monitor.thread is None
    monitor.stop()
    assert bus.lines == ["No thread running for Monitor."]


def test_monitor_starts_once(bus):
    monitor = Monitor(bus, print)
    monitor.start()
    thread = monitor.thread
    monitor.start()
    assert monitor.thread is thread
    assert bus.lines[-1] == "Monitor thread 'Monitor' already started."
    monitor.stop()


def test_graceful_makes_a_new_frequency_count(bus):
    monitor = Monitor(bus, print)
    monitor.start()
    monitor.frequency = 30
    monitor.graceful()
    assert monitor.thread.interval == 30
    monitor.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_monitor_whose_thread_died_starts_again(bus):
    monitor = Monitor(bus, lambda: 1 / 0, frequency=0.001)
    monitor.start()
    monitor.thread.join(20)
    monitor.frequency = 1000
    monitor.start()
    assert monitor.thread.is_alive()
    monitor.stop()


def test_unsubscribed_monitor_stops(bus):
    monitor = Monitor(bus, print)
    monitor.subscribe()
    bus.start()
    thread = monitor.thread
    monitor.unsubscribe()
    thread.join(20)
    assert not thread.is_alive()
    assert not bus.listeners["start"]


def test_monitor_may_stop_itself(bus):
    stopping = queue.SimpleQueue()

    def stop():
        stopping.put(threading.current_thread())
        monitor.stop()

    monitor = Monitor(bus, stop, frequency=0.001)
    monitor.start()
    thread = stopping.get(timeout=20)
    thread.join(20)
    assert not thread.is_alive()


def test_monitor_needs_a_function(bus):
    with pytest.raises(TypeError, match="callback must be callable, got 60"):
        Monitor(bus, 60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_forked_worker_has_its_own_monitor(run):
    script = run("""
        swept = threading.Event()

        def say(what):
            # Not print: a fork may catch the other thread with half a line in the buffer.
            os.write(1, f"{what} {os.getpid()}\\n".encode())

        def sweep():
            say("sweep")
            swept.set()

        monitor = plugins.Monitor(bus, sweep, 0.01)
        monitor.subscribe()
        bus.start()
        for _ in range(2):
            if (child := os.fork()) == 0:
                say("child")
                swept = threading.Event()  # the old one may be locked by a thread left behind
                bus.start()
                swept.wait(20)
                os._exit(0)
            os.waitpid(child, 0)
        bus.exit()
    """)
    assert script.end() == 0
    children = {line.split()[1] for line in script.output if line.startswith("child")}
    sweepers = {line.split()[1] for line in script.output if line.startswith("sweep")}
    assert len(children) == 2
    assert children < sweepers
