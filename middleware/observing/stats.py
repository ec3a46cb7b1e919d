"""Live statistics of any application: as a page with plots, as JSON, and for Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webob import Request, Response
from webob.exc import HTTPException, HTTPForbidden, HTTPMethodNotAllowed

from cptoolkit.middleware.accept import acceptable
from cptoolkit.middleware.forwarding.addresses import Network, Peers
from cptoolkit.middleware.forwarding.local import FORWARDED_FIELDS, PROXY_READ, is_local
from cptoolkit.middleware.layer import refused
from cptoolkit.middleware.observing.counts import Counts, Statistics
from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.observer import Observer

Allow = str | Network | Sequence[str | Network] | Callable[[Request], bool]


@dataclass(kw_only=True, eq=False)
class Stats(Observer):
    """Count requests by method and status, what they take in time and bytes, and show it.

    The page is at :attr:`path`, with a plot of the last ten minutes, and loads itself anew. At
    ``path?format=json``, or with an ``Accept`` that likes it best, it is JSON; at ``path/metrics``
    it is what Prometheus reads. Requests for these are not counted.

    A request lasts until the last byte of its response has been taken by the host. Quantiles are
    estimates from a histogram. Each process counts for itself: with several, each answer tells of
    the process that has given it, by its ``pid``; have Prometheus add up those it can reach one
    by one.

    :raises ValueError: if ``path`` is none, or ``allow`` names what is no network.
    :raises TypeError: if ``name`` is no text.
    """

    path: str | None = "/_stats"
    """Where the statistics are, below the mount point; None to show them nowhere but in
    :meth:`statistics`."""

    allow: Allow = "local"
    """Who may see them: "local" for clients on this machine that come without a proxy, addresses
    and networks such as ``["10.0.0.0/8"]``, or a function of the request. Behind a proxy no
    network counts, unless the layer Proxy around this one has found out the client's address."""

    name: str = ""
    """What is counted: a title for the page, and a label for Prometheus."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None and not re.fullmatch("/.*[^/]", str(self.path)):
            raise ValueError(
                f"path must begin with a slash and go on, such as '/_stats', got {self.path!r}"
            )
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a text, got {self.name!r}")
        path = None if self.path is None else self.path.encode().decode("latin-1")  # PEP 3333
        self._prefix = path or "\0"
        self._pages = {path: self._page, f"{path}/metrics": self._metrics} if path else {}
        self._allowed = _rule(self.allow)
        self._counts = Counts(self.name)

    def statistics(self) -> Statistics:
        """What has been counted in this process until now."""
        return self._counts.statistics()

    def begun(self, exchange: Exchange) -> None:
        """Count a request that has come."""
        self._counts.begin()

    def ended(self, exchange: Exchange) -> None:
        """Count a request that is over."""
        self._counts.end(exchange)

    def respond(self, request: Request) -> Response:
        """Answer a request, or have the application within answer it."""
        if not request.environ.get("PATH_INFO", "").startswith(self._prefix):
            return super().respond(request)
        try:
            page = self._show(request)
        except HTTPException as refusal:
            return refused(refusal, request.environ)
        return super().respond(request) if page is None else page

    def before(self, request: Request) -> Response | None:
        if request.environ.get("PATH_INFO", "").startswith(self._prefix):
            self.ignore(request)
            page = self._show(request)
            if page is not None:
                return page
        return super().before(request)

    def _show(self, request: Request) -> Response | None:
        """The statistics, if that is what is asked for.

        :raises webob.exc.HTTPForbidden: if not everybody may see them.
        :raises webob.exc.HTTPMethodNotAllowed: for all but GET and HEAD.
        """
        show = self._pages.get(request.environ["PATH_INFO"])
        if show is None:
            return None
        if not self._allowed(request):
            raise HTTPForbidden("These statistics are not for everybody.")
        if request.environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise HTTPMethodNotAllowed(headers=[("Allow", "GET, HEAD")])
        answer = show(request)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    def _page(self, request: Request) -> Response:
        environ = request.environ
        offers = acceptable(environ.get("HTTP_ACCEPT"), ["text/html", "application/json"])
        statistics = self.statistics()
        liked = "application/json" if offers and offers[0][0] == "application/json" else "text/html"
        if liked != "text/html" or "format=json" in environ.get("QUERY_STRING", "").split("&"):
            answer = Response(json.dumps(statistics).encode(), content_type="application/json")
        else:
            from cptoolkit.middleware.observing import page  # not above: few processes show it

            segment = self._prefix.rpartition("/")[2]
            answer = Response(page.page(statistics, segment), content_type="text/html")
            answer.headers["Content-Security-Policy"] = page.POLICY
        answer.headers["Vary"] = "Accept"
        return answer

    def _metrics(self, request: Request) -> Response:
        from cptoolkit.middleware.observing import prometheus  # not above: as the page

        text = prometheus.metrics(self.statistics())
        return Response(text.encode(), headerlist=[("Content-Type", prometheus.CONTENT_TYPE)])


def _rule(allow: Allow) -> Callable[[Request], bool]:
    """What tells whether the client of a request may see the statistics."""
    if callable(allow):
        return allow
    if allow == "local":
        return lambda request: is_local(request.environ)
    peers = Peers("allow", allow)

    def is_peer(request: Request) -> bool:
        environ = request.environ
        if PROXY_READ not in environ and not FORWARDED_FIELDS.isdisjoint(environ):
            return False  # the peer is a proxy, and the client anybody
        return peers.hold(environ.get("REMOTE_ADDR", ""))

    return is_peer
