"""Sessions by function call, under the names of the reference's ``cherrypy.lib.sessions``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptoolkit.context import current, serving
from cptoolkit.middleware.sessions.cookie_fields import SessionCookie

if TYPE_CHECKING:
    from cptoolkit.middleware.sessions.layer import Sessions


def init(**options: Any) -> None:
    """Give the current request a session, as the tool does; :func:`save` and :func:`close` too
    are then the caller's to see to.

    :param options: those of the tool.
    :raises ValueError: if there is no such option, or it has a wrong value.
    """
    from cptoolkit.default_tools import tools

    request = current.get()[0]
    assert request.app is not None
    tools.sessions.made(request.app, options).before(request)


def save() -> None:
    """Store what has been changed in the session, and have the client told."""
    layer: Sessions = serving.sessions
    layer.after(*current.get())


save.failsafe = True  # type: ignore[attr-defined]
save.priority = 90  # type: ignore[attr-defined]


def close() -> None:
    """Release the lock of the session, if the current request has one."""
    request, response = current.get()
    layer: Sessions | None = request.environ.get("cptoolkit.sessions")
    if layer is not None:
        layer.finish(request, response)


close.failsafe = True  # type: ignore[attr-defined]
close.priority = 90  # type: ignore[attr-defined]


def expire() -> None:
    """End the session of the current request: what is stored, and the cookie."""
    serving.session.expire()


def set_response_cookie(timeout: float = 60, **options: Any) -> None:
    """Have the client keep the id of the session in a cookie like this, in place of the tool's.

    :param timeout: minutes until the client forgets it.
    :param options: name, path, path_header, domain, secure, httponly, samesite, partitioned and
        persistent, as for the tool.
    """
    request, response = current.get()
    cookie = SessionCookie(**options)
    cookie.put(response.headerlist, request.environ, serving.session.id, round(60 * timeout))
