import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.process.channels import ChannelFailures, Channels, OperatorError


def fail():
    raise ValueError("broken")


def test_publication_returns_what_the_listeners_return():
    channels = Channels()
    channels.subscribe("sum", lambda a, b=0: a + b)
    assert channels.publish("sum", 1, b=2) == [3]


def test_channel_without_listeners_gives_an_empty_list():
    assert Channels("start").publish("start") == []
    assert Channels().publish("unheard of") == []


@given(st.lists(st.integers(0, 5), max_size=8))
@settings(max_examples=25)
def test_listeners_are_called_by_priority_and_then_by_age(priorities):
    channels = Channels()
    for age, priority in enumerate(priorities):
        channels.subscribe("c", lambda mark=(priority, age): mark, priority)
    assert channels.publish("c") == sorted((p, age) for age, p in enumerate(priorities))


def test_priority_attribute_of_the_callback_counts():
    def late():
        return "late"

    late.priority = 90
    channels = Channels()
    channels.subscribe("c", late)
    channels.subscribe("c", lambda: "usual")
    assert channels.publish("c") == ["usual", "late"]


def test_argument_wins_over_the_priority_attribute():
    def late():
        return "late"

    late.priority = 90
    channels = Channels()
    channels.subscribe("c", lambda: "usual")
    channels.subscribe("c", late, 10)
    assert channels.publish("c") == ["late", "usual"]


def test_subscribing_again_changes_the_priority_only():
    channels = Channels()
    first, second = (lambda: 1), (lambda: 2)
    channels.subscribe("c", first)
    channels.subscribe("c", second)
    channels.publish("c")
    channels.subscribe("c", second, priority=10)
    assert channels.publish("c") == [2, 1]


def test_subscribe_decorates():
    channels = Channels()

    @channels.subscribe("c", priority=10)
    def listener():
        return "called"

    assert channels.publish("c") == ["called"]
    assert listener() == "called"


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="a listener of 'start' must be callable, got 5"):
        Channels().subscribe("start", 5)


def test_unsubscribed_listener_is_called_no_more():
    channels = Channels()
    listener = channels.subscribe("c", lambda: 1)
    channels.publish("c")
    channels.unsubscribe("c", listener)
    assert channels.publish("c") == []


def test_unsubscribing_a_stranger_is_passed_over():
    channels = Channels("c")
    channels.unsubscribe("c", print)
    channels.unsubscribe("unheard of", print)
    assert "unheard of" not in channels.listeners


def test_listeners_put_there_by_hand_are_called():
    channels = Channels()
    channels.subscribe("c", lambda: "subscribed", 40)
    channels.publish("c")
    channels.listeners["c"].add(lambda: "added")
    assert channels.publish("c") == ["subscribed", "added"]


def test_set_put_there_by_hand_replaces_the_listeners():
    channels = Channels()
    channels.subscribe("c", lambda: "old")
    channels.publish("c")
    mine = {lambda: "new"}
    channels.listeners["c"] = mine
    assert channels.publish("c") == ["new"]
    mine.clear()
    assert channels.publish("c") == []


def test_error_does_not_keep_the_others_from_being_called():
    channels, called = Channels(), []
    channels.subscribe("c", fail, 1)
    channels.subscribe("c", lambda: called.append("second"), 2)
    with pytest.raises(ChannelFailures, match=r"ValueError\('broken'\)") as caught:
        channels.publish("c")
    assert called == ["second"]
    assert [type(error) for error in caught.value.get_instances()] == [ValueError]


def test_error_is_logged_with_its_traceback(bus):
    bus.subscribe("c", fail)
    with pytest.raises(ChannelFailures):
        bus.publish("c")
    assert bus.lines[0].startswith("Error in 'c' listener <function fail")
    assert "ValueError: broken" in bus.lines[0]
    assert bus.levels == [40]


def test_error_for_the_operator_is_logged_as_one_line(bus):
    @bus.subscribe("c")
    def refuse():
        raise OperatorError("The disk is full: make room.")

    with pytest.raises(ChannelFailures):
        bus.publish("c")
    assert bus.lines == ["The disk is full: make room."]


def test_broken_log_does_not_keep_the_others_from_being_called():
    channels, called = Channels(), []
    channels.subscribe("log", lambda msg, level: fail())
    channels.subscribe("c", fail, 1)
    channels.subscribe("c", lambda: called.append("second"), 2)
    with pytest.raises(ChannelFailures) as caught:
        channels.publish("c")
    assert called == ["second"]
    assert len(caught.value.get_instances()) == 2


def test_keyboard_interrupt_ends_the_publication(bus):
    called = []

    @bus.subscribe("c", priority=1)
    def interrupt():
        raise KeyboardInterrupt

    bus.subscribe("c", lambda: called.append("second"))
    with pytest.raises(KeyboardInterrupt):
        bus.publish("c")
    assert called == []


@pytest.mark.parametrize(("status", "seen"), [(0, 1), (None, 1), (3, 3)])
def test_system_exit_after_an_error_never_means_success(bus, status, seen):
    @bus.subscribe("c", priority=60)
    def leave():
        raise SystemExit(status)

    bus.subscribe("c", fail)
    with pytest.raises(SystemExit) as caught:
        bus.publish("c")
    assert caught.value.code == seen


def test_system_exit_without_an_error_keeps_its_status(bus):
    @bus.subscribe("c")
    def leave():
        raise SystemExit(0)

    with pytest.raises(SystemExit) as caught:
        bus.publish("c")
    assert caught.value.code == 0


def test_log_appends_the_traceback_on_request(bus):
    try:
        fail()
    except ValueError:
        bus.log("Oh", 30, traceback=True)
    assert bus.lines[0].startswith("Oh\nTraceback")
    assert bus.levels == [30]


def test_error_that_nobody_logs_goes_to_standard_error(capsys):
    Channels().log("lost?", 40)
    Channels().log("of no matter", 20)
    assert capsys.readouterr().err == "lost?\n"


def test_failures_collect_the_exception_being_handled():
    failures = ChannelFailures()
    assert not failures
    try:
        fail()
    except ValueError:
        failures.handle_exception()
    assert failures
    assert repr(failures) == "ValueError('broken')"
