from beside import at_once

from cptoolkit.process.plugins import ThreadManager


def in_thread(*functions):
    at_once(lambda: [function() for function in functions])


def manage(bus):
    manager = ThreadManager(bus)
    manager.subscribe()
    seen = []
    bus.subscribe("start_thread", lambda number: seen.append(("start", number)))
    bus.subscribe("stop_thread", lambda number: seen.append(("stop", number)))
    return manager, seen


def test_channels_exist_as_soon_as_the_manager_does(bus):
    ThreadManager(bus)
    assert {"acquire_thread", "start_thread", "release_thread", "stop_thread"} <= set(bus.listeners)


def test_thread_starts_once(bus):
    _, seen = manage(bus)
    bus.publish("acquire_thread")
    bus.publish("acquire_thread")
    assert seen == [("start", 1)]


def test_released_number_is_given_again(bus):
    _, seen = manage(bus)
    in_thread(lambda: bus.publish("acquire_thread"), lambda: bus.publish("release_thread"))
    bus.publish("acquire_thread")
    assert seen == [("start", 1), ("stop", 1), ("start", 1)]


def test_threads_that_run_at_a_time_have_different_numbers(bus):
    _, seen = manage(bus)
    bus.publish("acquire_thread")
    in_thread(lambda: bus.publish("acquire_thread"))
    assert seen == [("start", 1), ("start", 2)]


def test_releasing_a_stranger_is_passed_over(bus):
    _, seen = manage(bus)
    bus.publish("release_thread")
    assert seen == []


def test_all_threads_stop_with_the_bus(bus):
    manager, seen = manage(bus)
    bus.start()
    bus.publish("acquire_thread")
    in_thread(lambda: bus.publish("acquire_thread"))
    bus.stop()
    assert seen[2:] == [("stop", 1), ("stop", 2)]
    assert manager.threads == {}


def test_graceful_stops_threads_that_start_again_when_used(bus):
    _, seen = manage(bus)
    bus.publish("acquire_thread")
    bus.graceful()
    bus.publish("acquire_thread")
    assert seen == [("start", 1), ("stop", 1), ("start", 1)]
