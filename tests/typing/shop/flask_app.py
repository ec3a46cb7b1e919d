"""Layers around an application of another framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, request

from cptoolkit import Pipeline, use
from cptoolkit.middleware import BasicAuth, Sessions
from cptoolkit.middleware.sessions import FileStore, Session
from shop.layers import Robots

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

app = Flask(__name__)


@app.route("/")
def index() -> Any:
    session: Session = request.environ["cptoolkit.session"]
    session["visits"] = session.get("visits", 0) + 1
    return f"{session['visits']}"


def is_staff(realm: str, user: str, password: str) -> bool:
    return user == password


def around(folder: str, inner: WSGIApplication) -> WSGIApplication:
    pipeline = Pipeline(
        use(Robots, index=True),
        use(Sessions, storage=FileStore(folder), timeout=30),
        use(BasicAuth, at="/staff", realm="staff", checkpassword=is_staff),
    )
    return pipeline(inner)
