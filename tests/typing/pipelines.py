"""What type checkers have to let pass in programs that put layers together; never run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webob import Request, Response

from cptoolkit import Pipeline, use
from cptoolkit.middleware.accept import Accept
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.sessions import Sessions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(kw_only=True, eq=False)
class Mine(Layer):
    """A layer of a user's own."""

    letter: str = "a"

    def after(self, request: Request, response: Response) -> None:
        response.headers["X-Letter"] = self.letter


class Foreign:
    """A middleware that is no layer."""

    def __init__(self, app: WSGIApplication, root: str, fresh: bool = False) -> None: ...

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        return []


def fabric(app: WSGIApplication, factory: str) -> WSGIApplication:
    """One with an option of a name that use() could have wanted for itself."""
    return app


def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("204 No Content", [])
    return []


served: WSGIApplication = Pipeline(
    use(Accept, media="text/html"),
    use(Mine, at="/mine", letter="b"),
    use(Foreign, root="/srv"),
    use(fabric, factory="f"),
    use(Foreign, at="/static", root="/srv", fresh=True),
    Pipeline(use(Mine)),
)(app)
kept_in_files = use(Sessions, storage_type="file", storage_path="/srv", timeout=5, locking="early")
kept_in_redis = use(Sessions, storage_type="redis", url="redis://sessions/0", secret=["new", "old"])
single: WSGIApplication = Mine(app, letter="c")
