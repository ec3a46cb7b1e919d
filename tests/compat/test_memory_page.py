from __future__ import annotations

from cptoolkit.http.request import Request
from cptoolkit.memory_page import GCRoot, RequestCounter, get_instances
from cptoolkit.process.wspbus import Bus


def test_page_has_nothing_to_tell_where_all_is_well(app_of):
    client = app_of(GCRoot())
    assert client.get("/").text == "Hello, world!"
    assert client.get("/stats").text == "Statistics:"


def test_page_tells_of_a_request_that_is_over_and_kept(app_of):
    kept = Request.blank("/kept")
    kept.closed = True
    assert app_of(GCRoot()).get("/stats").text == "Statistics:\nGET /kept is in memory"
    assert kept in get_instances(Request)


def test_requests_are_counted_while_they_are_served():
    bus = Bus()
    bus.listeners |= {"before_request": set(), "after_request": set()}
    counter = RequestCounter(bus)
    counter.subscribe()
    bus.publish("before_request")
    assert counter.count == 1
    bus.publish("after_request")
    assert counter.count == 0
