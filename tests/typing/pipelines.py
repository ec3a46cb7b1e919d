"""What mypy has to see, and what it has to let pass, in programs that put layers together.

Never run. Under ``warn_unused_ignores`` a mistake that mypy no longer sees fails the check.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webob import Request, Response

from cptoolkit import Pipeline, use
from cptoolkit.middleware.accept import Accept
from cptoolkit.middleware.layer import Layer

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
single: WSGIApplication = Mine(app, letter="c")

use(Mine, leter="b")  # type: ignore[call-overload]
use(Mine, letter=1)  # type: ignore[call-overload]
use(Mine, at="/mine", leter="b")  # type: ignore[call-overload]
use(Foreign, rot="/srv")  # type: ignore[call-overload]
use(Foreign, at="/static", rot="/srv")  # type: ignore[call-overload]
use(Foreign)  # type: ignore[call-overload]
Mine(app, leter="b")  # type: ignore[call-arg]
Pipeline(Accept)(None)  # type: ignore[arg-type]
