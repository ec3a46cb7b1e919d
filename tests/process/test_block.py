import os
import signal
import threading

import pytest
from beside import PATIENCE, in_threads

from cptoolkit.process.wspbus import ChannelFailures, State


def when_blocking(bus, act):
    """Have ``act`` called by the thread that blocks, once it does."""

    @bus.subscribe("main")
    def once():
        bus.listeners["main"].clear()
        act()


def test_block_publishes_main_until_the_bus_exits(bus):
    bus.start()
    when_blocking(bus, bus.exit)
    bus.block(interval=0.001)
    assert bus.lines[-2:] == ["Bus EXITED", "Waiting for child threads to terminate..."]


def test_block_ends_long_before_its_interval_is_over(bus):
    bus.start()
    with in_threads(bus.exit):
        bus.block(interval=100)
    assert bus.state is State.EXITING


def test_block_waits_for_an_exit_that_another_thread_makes(bus):
    leaving, done = threading.Event(), []

    @bus.subscribe("exit")
    def slow():
        leaving.wait(PATIENCE)
        done.append(True)

    def leave():
        bus.wait(State.EXITING)
        leaving.wait(0.02)
        leaving.set()

    bus.start()
    with in_threads(bus.exit, leave):
        bus.wait(State.EXITING)
        bus.block()
    assert done == [True]


def test_keyboard_interrupt_makes_the_bus_exit(bus):
    def interrupt():
        raise KeyboardInterrupt

    bus.start()
    when_blocking(bus, interrupt)
    bus.block(interval=0.001)
    assert bus.state is State.EXITING
    assert "Keyboard Interrupt: shutting down bus" in bus.lines


def test_system_exit_makes_the_bus_exit_and_travels_on(bus):
    def leave():
        raise SystemExit(3)

    bus.start()
    when_blocking(bus, leave)
    with pytest.raises(SystemExit) as caught:
        bus.block(interval=0.001)
    assert caught.value.code == 3
    assert bus.state is State.EXITING
    assert "SystemExit raised: shutting down bus" in bus.lines


def test_failed_main_listener_makes_the_bus_exit_and_travels_on(bus):
    bus.start()
    when_blocking(bus, lambda: 1 / 0)
    with pytest.raises(ChannelFailures, match="ZeroDivisionError"):
        bus.block(interval=0.001)
    assert bus.state is State.EXITING


def test_failed_exit_listener_means_status_70(bus):
    bus.subscribe("exit", lambda: 1 / 0)
    bus.start()
    with in_threads(bus._exit_quietly), pytest.raises(SystemExit) as caught:
        bus.block(interval=0.001)
    assert caught.value.code == 70


def test_threads_are_waited_for(bus):
    proceed, done = threading.Event(), []
    threading.Thread(target=lambda: done.append(proceed.wait(20)), name="worker").start()
    bus.start()
    bus.subscribe("exit", proceed.set)
    when_blocking(bus, bus.exit)
    bus.block(interval=0.001)
    assert done == [True]


def test_daemon_threads_are_not_waited_for(bus):
    proceed = threading.Event()
    with in_threads(proceed.wait, stop=proceed.set) as [spirit]:
        bus.start()
        when_blocking(bus, bus.exit)
        bus.block(interval=0.001)
        assert not any(spirit.name in line for line in bus.lines)


def test_hanging_thread_is_named_and_left_behind(bus):
    proceed = threading.Event()
    hanging = threading.Thread(target=proceed.wait, name="stuck handler")
    hanging.start()
    try:
        bus.join_timeout = 0.01
        bus.start()
        when_blocking(bus, bus.exit)
        bus.block(interval=0.001)
        assert bus.lines[-1].startswith("Left behind after 0.01 s, still running: ")
        assert "stuck handler" in bus.lines[-1]
        assert bus.levels[-1] == 40
    finally:
        proceed.set()
        hanging.join()


def test_process_ends_in_spite_of_a_hanging_thread(run):
    script = run("""
        threading.Thread(target=threading.Event().wait, name="stuck").start()
        bus.join_timeout = 0.05
        bus.subscribe("main", bus.exit)
        bus.start()
        bus.block()
        print("after block")
    """)
    assert script.end() == 70
    assert script.output[-2:] == ["Left behind after 0.05 s, still running: stuck", "after block"]


def test_interrupt_exits_and_a_second_one_ends_the_process_at_once(run):
    script = run("""
        bus.subscribe("stop", lambda: (print("stuck", flush=True), be_stuck()))
        bus.start()
        bus.block()
    """)
    script.wait_for("blocking")
    script.send(signal.SIGINT)
    script.wait_for("stuck")
    script.send(signal.SIGINT)
    assert script.end() == 130
    assert script.output[-1] == "Keyboard Interrupt again: leaving at once"


def test_second_interrupt_of_a_start_ends_the_process_at_once(run):
    script = run("""
        for channel in ("start", "stop"):
            stuck = lambda at=channel: (print("stuck", at, flush=True), be_stuck())
            bus.subscribe(channel, stuck)
        bus.start()
    """)
    script.wait_for("stuck start")
    script.send(signal.SIGINT)
    script.wait_for("stuck stop")
    script.send(signal.SIGINT)
    assert script.end() == 130


def test_interrupt_ends_the_process_in_order(run):
    script = run("""
        bus.start()
        bus.block()
    """)
    script.wait_for("blocking")
    script.send(signal.SIGINT)
    assert script.end() == 0
    assert "Bus EXITED" in script.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_to_end_stops_a_restart_that_is_under_way(run, signum):
    script = run("""
        from cptoolkit.process.plugins import SignalHandler

        def stop():
            print("leaving", flush=True)
            while bus.execv:
                time.sleep(0.01)

        SignalHandler(bus).subscribe()
        bus.subscribe("stop", stop)
        bus.start_with_callback(bus.restart)
        bus.block()
    """)
    script.wait_for("leaving")
    script.send(signum)
    assert script.end() == 0
    assert not [line for line in script.output if "Re-spawning" in line]


def test_failed_start_ends_the_process_without_a_second_traceback(run):
    script = run("""
        bus.subscribe("start", lambda: 1 / 0)
        bus.start()
    """)
    assert script.end() == 70
    assert sum("Traceback" in line for line in script.output) == 1
    assert script.output[-1] == "Bus EXITED"


def test_exit_during_a_stuck_start_ends_the_process(run):
    script = run("""
        bus.subscribe("start", lambda: (bus.call_soon(bus.exit), threading.Event().wait()))
        bus.start()
    """)
    assert script.end() == 70
    assert script.output[-1] == "Bus EXITED"


def test_bus_exits_with_the_interpreter(run):
    script = run("bus.start()")
    assert script.end() == 0
    assert any("RuntimeWarning" in line for line in script.output)
    assert script.output[-1] == "Bus EXITED"


def test_stopped_bus_exits_with_the_interpreter_without_a_warning(run):
    script = run("bus.start(); bus.stop()")
    assert script.end() == 0
    assert script.output[-1] == "Bus EXITED"
    assert not any("Warning" in line for line in script.output)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_leaves_the_bus_of_its_parent_alone(run):
    script = run("""
        bus.start()
        if (child := os.fork()) == 0:
            sys.exit(0)
        os.waitpid(child, 0)
        bus.log("child gone")
        bus.exit()
    """)
    assert script.end() == 0
    assert script.output.index("child gone") < script.output.index("Bus STOPPING")
    assert script.output.count("Bus STOPPING") == 1
