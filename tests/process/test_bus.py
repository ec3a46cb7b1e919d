import os
import threading

import pytest
from beside import PATIENCE, in_threads

from cptoolkit.process.wspbus import Bus, ChannelFailures, StartFailure, State, states


def fail():
    raise ValueError("broken")


def test_life_goes_through_the_states(bus):
    seen = []
    for channel in ("start", "stop", "exit"):
        bus.subscribe(channel, lambda: seen.append(bus.state))
    assert bus.state is State.STOPPED
    bus.start()
    assert bus.state is State.STARTED
    bus.exit()
    assert seen == [State.STARTING, State.STOPPING, State.EXITING]


def test_life_is_logged(bus):
    bus.start()
    bus.exit()
    assert bus.lines == [
        "Bus STARTING",
        "Bus STARTED",
        "Bus STOPPING",
        "Bus STOPPED",
        "Bus EXITING",
        "Bus EXITED",
    ]


def test_states_are_known_by_the_names_that_programs_use(bus):
    assert bus.states.STARTED is states.STARTED
    assert repr(states.STOPPED) == "states.STOPPED"
    assert states.STOPPED.name == "STOPPED"


def test_common_channels_exist_from_the_start():
    assert set(Bus().listeners) == {"start", "stop", "exit", "graceful", "log", "main"}


def test_stop_and_start_again(bus):
    calls = []
    bus.subscribe("start", lambda: calls.append("start"))
    bus.subscribe("stop", lambda: calls.append("stop"))
    bus.start()
    bus.stop()
    bus.start()
    assert calls == ["start", "stop", "start"]


def test_bus_tells_the_process_that_it_was_started_in(bus):
    assert bus.started_in == 0
    bus.start()
    assert bus.started_in == os.getpid()


def test_bus_that_has_exited_starts_again(bus):
    bus.start()
    bus.exit()
    bus.start()
    assert bus.state is State.STARTED


def test_second_exit_does_nothing(bus):
    calls = []
    bus.subscribe("exit", lambda: calls.append("exit"))
    bus.start()
    bus.exit()
    bus.exit()
    assert calls == ["exit"]


def test_exit_within_an_exit_does_nothing(bus):
    bus.subscribe("stop", bus.exit)
    bus.start()
    bus.exit()
    assert bus.lines.count("Bus STOPPING") == 1


def test_exit_of_another_thread_is_not_waited_for(bus):
    # A stop listener may join a thread that calls exit() itself.
    other = threading.Thread(target=bus.exit)

    @bus.subscribe("stop")
    def join():
        other.start()
        other.join(20)

    bus.start()
    bus.exit()
    assert not other.is_alive()
    assert bus.state is State.EXITING


def test_graceful_publishes_and_keeps_the_state(bus):
    calls = []
    bus.subscribe("graceful", lambda: calls.append("graceful"))
    bus.start()
    bus.graceful()
    assert calls == ["graceful"]
    assert bus.state is State.STARTED
    assert "Bus graceful" in bus.lines


def test_failed_start_stops_and_exits(bus):
    bus.subscribe("start", fail)
    with pytest.raises(StartFailure, match="broken"):
        bus.start()
    assert bus.state is State.EXITING
    assert "Shutting down due to error in start listener." in bus.lines
    assert bus.lines[-3:] == ["Bus STOPPED", "Bus EXITING", "Bus EXITED"]


def test_failed_start_means_status_70_but_can_be_caught_as_an_exception(bus):
    bus.subscribe("start", fail)
    with pytest.raises(Exception, match="broken") as caught:
        bus.start()
    assert isinstance(caught.value, ChannelFailures)
    assert isinstance(caught.value, SystemExit)
    assert caught.value.code == 70
    assert isinstance(caught.value.__cause__, ValueError)


def test_bus_starts_after_a_failed_start(bus):
    bus.subscribe("start", fail)
    with pytest.raises(StartFailure):
        bus.start()
    bus.unsubscribe("start", fail)
    bus.start()
    assert bus.state is State.STARTED


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_start_that_is_broken_off_exits(bus, leaving):
    @bus.subscribe("start")
    def leave():
        raise leaving

    with pytest.raises(leaving):
        bus.start()
    assert bus.state is State.EXITING


def test_failed_stop_listener_keeps_nobody_from_stopping(bus):
    calls = []
    bus.subscribe("stop", fail, 1)
    bus.subscribe("stop", lambda: calls.append("stop"))
    bus.subscribe("exit", lambda: calls.append("exit"))
    bus.start()
    with pytest.raises(ChannelFailures):
        bus.exit()
    assert calls == ["stop", "exit"]
    assert bus.state is State.EXITING


def test_failed_stop_leaves_the_bus_stopped(bus):
    bus.subscribe("stop", fail)
    bus.start()
    with pytest.raises(ChannelFailures):
        bus.stop()
    assert bus.state is State.STOPPED
    bus.unsubscribe("stop", fail)


def test_wait_returns_at_once_when_the_state_is_there(bus):
    bus.wait(State.STOPPED, interval=100)


def test_wait_sees_a_change_long_before_its_interval_is_over(bus):
    with in_threads(lambda: bus.wait([State.STARTED, State.EXITING], 100)):
        bus.start()


def test_wait_publishes_at_each_interval(bus):
    published = threading.Event()
    bus.subscribe("tick", published.set)
    with in_threads(lambda: bus.wait(State.EXITING, 0.001, "tick"), stop=bus.exit):
        assert published.wait(PATIENCE)


def test_state_may_be_set_by_hand(bus):
    with in_threads(lambda: bus.wait(State.STARTED, 100)):
        bus.state = bus.states.STARTED
    bus.state = State.STOPPED


def test_callback_runs_once_the_bus_has_started(bus):
    seen = []
    thread = bus.start_with_callback(lambda a, b: seen.append((a, b, bus.state)), (1,), {"b": 2})
    thread.join(20)
    assert seen == [(1, 2, State.STARTED)]
    assert thread.name.startswith("Bus Callback ")


def test_callback_does_not_run_when_the_start_fails(bus):
    called = []
    before = set(threading.enumerate())
    bus.subscribe("start", fail)
    with pytest.raises(StartFailure):
        bus.start_with_callback(lambda: called.append(1))
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert called == []


def test_call_soon_uses_a_thread_of_its_own_outside_of_block(bus):
    called = threading.Event()
    bus.call_soon(called.set)
    assert called.wait(20)
