"""An object tree with tools, config and a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import cptoolkit
from shop.layers import robots
from shop.tools import age, shop

CONFIG: dict[str, dict[str, Any]] = {
    "/": {"tools.sessions.on": True},
    "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "/srv/static"},
}


class Cart:
    """What somebody is going to buy: what the session keeps."""

    def __init__(self) -> None:
        self.items: list[str] = cptoolkit.session.setdefault("items", [])

    def add(self, item: str) -> int:
        self.items.append(item)
        cptoolkit.session["items"] = self.items
        return len(self.items)


@cptoolkit.popargs("year", "month")
class Archive:
    @cptoolkit.expose
    def index(self, year: str = "", month: str = "") -> str:
        return f"{year}-{month}"


@cptoolkit.expose
class Api:
    """Methods by the HTTP method, for the MethodDispatcher."""

    @cptoolkit.tools.json_out()
    def GET(self, id: int = 0) -> dict[str, int]:
        return {"id": id}

    @cptoolkit.tools.json_in(force=False)
    @cptoolkit.tools.json_out(content_type="application/problem+json")
    def POST(self) -> Any:
        return cptoolkit.request.json


@cptoolkit.tools.secureheaders()
@robots(index=True)
class Root:
    _cp_config: ClassVar[dict[str, Any]] = {"tools.gzip.on": True}

    archive = Archive()
    api = Api()

    @cptoolkit.expose
    @age(seconds=60)
    @cptoolkit.tools.etags(autotags=True, priority=70)
    def index(self, name: str = "world") -> str:
        return f"Hello {name}! You came to {cptoolkit.url('/')}"

    @cptoolkit.expose(["buy", "take"])
    @cptoolkit.tools.sessions(timeout=30, name="shop", storage_type="ram")
    def add(self, item: str) -> str:
        count = Cart().add(item)
        if count > 100:
            raise cptoolkit.HTTPError(400, "That is too much.")
        cptoolkit.response.status = "201 Created"
        return str(count)

    @cptoolkit.expose
    @shop.closed(text="Come back at nine.")
    @shop.counter(step=2, on=False)
    def night(self) -> Iterator[str]:
        yield cptoolkit.request.headers.get("User-Agent", "")

    @cptoolkit.expose
    @cptoolkit.tools.auth_basic(realm="staff", checkpassword=lambda realm, user, word: user == word)
    def staff(self) -> str:
        return cptoolkit.request.login or ""

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def chat(self) -> None:
        text = cptoolkit.request.websocket.receive()
        cptoolkit.request.websocket.send(f"You said {text!r}.")

    @staticmethod
    @cptoolkit.expose
    def login(user: str, back: str = "/") -> None:
        cptoolkit.session.regenerate()
        cptoolkit.session["user"] = user
        raise cptoolkit.HTTPRedirect(back)


def application() -> cptoolkit.Application:
    return cptoolkit.Application(Root(), config=CONFIG)
