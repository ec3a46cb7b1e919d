from __future__ import annotations

from cptoolkit import expose
from cptoolkit.http.request import Request
from cptoolkit.memory_page import GCRoot, RequestCounter, get_instances
from cptoolkit.process.wspbus import Bus


class Root(GCRoot):
    @expose
    def gone(self):
        return "not kept"


def told(client):
    # Other tests of this process may have kept requests of theirs.
    title, *lines = client.get("/stats").text.splitlines()
    assert title == "Statistics:"
    return lines


def test_page_does_not_tell_of_a_request_that_is_gone(app_of):
    client = app_of(Root())
    assert client.get("/").text == "Hello, world!"
    assert client.get("/gone").text == "not kept"
    assert "GET /gone is in memory" not in told(client)


def test_page_tells_of_a_request_that_is_over_and_kept(app_of):
    kept = Request.blank("/kept")
    kept.closed = True
    assert "GET /kept is in memory" in told(app_of(GCRoot()))
    assert kept in get_instances(Request)


def test_objects_that_do_not_tell_their_class_are_passed_over():
    class Lazy:
        @property
        def __class__(self):
            raise RuntimeError("not configured yet")

    lazy = Lazy()
    kept = Request.blank("/")
    assert kept in get_instances(Request)
    assert any(thing is lazy for thing in get_instances(object))


def test_requests_are_counted_while_they_are_served():
    bus = Bus()
    bus.listeners |= {"before_request": set(), "after_request": set()}
    counter = RequestCounter(bus)
    counter.subscribe()
    bus.publish("before_request")
    assert counter.count == 1
    bus.publish("after_request")
    assert counter.count == 0
