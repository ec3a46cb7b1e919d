"""See whether requests stay in memory: CherryPy's ``lib.gctools``, for test suites."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, TypeVar

from cptoolkit import site
from cptoolkit.decorators import expose
from cptoolkit.http.request import Request
from cptoolkit.process.plugins import SimplePlugin

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

T = TypeVar("T")


def get_instances(cls: type[T]) -> list[T]:
    """All objects of a class that are in memory."""
    # Not isinstance(): it asks objects for their class, and proxies that are lazy may fail then.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), cls)]


class RequestCounter(SimplePlugin):
    """Counts the requests that are being served."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.count = 0

    def before_request(self) -> None:
        """A request has come."""
        self.count += 1

    def after_request(self) -> None:
        """A request is over."""
        self.count -= 1


request_counter = RequestCounter(site.engine)
"""To be subscribed by whoever wants to know."""


class GCRoot:
    """A page to mount in tests, which tells of requests that are over but still in memory."""

    @expose
    def index(self) -> str:
        """Something to ask for."""
        return "Hello, world!"

    @expose
    def stats(self) -> str:
        """``Statistics:`` alone if all is well; else with a line for each request that is left."""
        gc.collect()
        left = [request for request in get_instances(Request) if request.closed]
        return "\n".join(["Statistics:", *(f"{r.method} {r.path_info} is in memory" for r in left)])
