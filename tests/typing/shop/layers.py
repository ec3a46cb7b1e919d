"""A layer of one's own, as middleware and as a tool."""

from __future__ import annotations

from dataclasses import dataclass

from webob import Request, Response

import cptoolkit
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware import Layer


@dataclass(kw_only=True, eq=False)
class Robots(Layer):
    """Tell search engines what to do with a page."""

    index: bool = False
    """Whether they may have it."""

    def before(self, request: Request) -> Response | None:
        return Response("*") if request.path_info == "/robots.txt" else None

    def after(self, request: Request, response: Response) -> None:
        response.headers["X-Robots-Tag"] = "all" if self.index else "noindex"


robots = cptoolkit.tools.robots = LayerTool("before_finalize", Robots)
