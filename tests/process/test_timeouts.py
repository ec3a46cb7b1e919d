import pytest

from cptoolkit.process.plugins import TimeoutMonitor


class Response:
    checked = 0

    def check_timeout(self):
        self.checked += 1


@pytest.fixture
def response():
    return Response()


@pytest.fixture
def monitor(bus, response):
    made = TimeoutMonitor(bus, lambda: response)
    made.subscribe()
    return made


def test_active_response_is_checked(bus, monitor, response):
    bus.start()
    bus.publish("before_request")
    monitor.run()
    assert response.checked == 1


def test_finished_response_is_not_checked(bus, monitor, response):
    bus.start()
    bus.publish("before_request")
    bus.publish("after_request")
    monitor.run()
    assert response.checked == 0


def test_requests_cost_nothing_while_the_bus_is_stopped(bus, monitor):
    assert not bus.listeners.get("before_request")
    bus.start()
    assert bus.listeners["before_request"]
    bus.stop()
    assert not bus.listeners["before_request"]
    assert not bus.listeners["after_request"]


def test_thread_is_logged_under_its_name_in_the_reference(bus, monitor):
    bus.start()
    assert "Started monitor thread '_TimeoutMonitor'." in bus.lines


def test_once_a_minute_unless_told_otherwise(bus, monitor):
    bus.start()
    assert monitor.thread.interval == 60


def test_unsubscribed_monitor_follows_no_requests(bus, monitor):
    bus.start()
    monitor.unsubscribe()
    assert not bus.listeners["before_request"]
    assert monitor.thread is None
