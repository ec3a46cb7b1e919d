"""Tools of one's own: one in the toolbox of the site, and a toolbox whose tools are known."""

from __future__ import annotations

import cptoolkit
from cptoolkit.toolbox import HandlerTool, Toolbox


def tell_age(seconds: int, directive: str = "max-age") -> None:
    cptoolkit.response.headers["Cache-Control"] = f"{directive}={seconds}"


age = cptoolkit.tools.age = cptoolkit.Tool("before_finalize", tell_age, priority=60)


def closed(text: str = "We are closed.") -> bool:
    if cptoolkit.request.path_info.startswith("/open"):
        return False
    cptoolkit.response.body = text.encode()
    return True


class Counter(cptoolkit.Tool):
    """A tool with a class of its own, which takes any option."""

    def __init__(self) -> None:
        super().__init__("on_end_request", self.count)
        self.counted = 0

    def count(self, step: int = 1) -> None:
        self.counted += step


class ShopTools(Toolbox):
    def __init__(self) -> None:
        super().__init__("shop")
        self.closed = HandlerTool(closed)
        self.counter = Counter()


shop = ShopTools()
cptoolkit.Application.toolboxes["shop"] = shop
