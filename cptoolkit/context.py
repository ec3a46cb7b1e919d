"""What is being served right now: the current request, response and session.

They are kept in a :class:`~contextvars.ContextVar`, so that they are right under threads,
greenlets, and when one application calls another in mid-request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.middleware.sessions.session import Session

current: ContextVar[tuple[Request, Response]] = ContextVar("cptoolkit.serving")
"""The exchange in progress. Read it through :data:`serving` unless every nanosecond counts."""

ENVIRON_PREFIX = "cptoolkit."


@cache
def _idle() -> tuple[Request, Response]:
    """What stands in outside of a request, so that defaults can be looked at (reference, 6.3)."""
    from cptoolkit.hooks import common_hooks
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response

    request = Request.blank("/")
    request.hooks = common_hooks
    return request, Response()


class Serving:
    """The request and response being served, and what layers hang on them.

    Any other attribute lives in the request's environ under ``cptoolkit.<name>``: the session
    layer's ``environ["cptoolkit.session"]`` is ``serving.session``.
    """

    __slots__ = ()

    @property
    def request(self) -> Request:
        """The request being served, or a blank one outside of any."""
        return (current.get(None) or _idle())[0]

    @request.setter
    def request(self, request: Request) -> None:
        current.set((request, self.response))

    @property
    def response(self) -> Response:
        """The response being made, or a blank one outside of any."""
        return (current.get(None) or _idle())[1]

    @response.setter
    def response(self, response: Response) -> None:
        current.set((self.request, response))

    def load(self, request: Request, response: Response) -> None:
        """Make these two the current ones."""
        current.set((request, response))

    def clear(self) -> None:
        """Forget the current request and response."""
        current.set(_idle())

    def __getattr__(self, name: str) -> Any:
        try:
            return self.request.environ[ENVIRON_PREFIX + name]
        except (KeyError, AttributeError):
            raise AttributeError(f"there is no {name} in the current request") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("request", "response"):
            object.__setattr__(self, name, value)
        else:
            self.request.environ[ENVIRON_PREFIX + name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self.request.environ[ENVIRON_PREFIX + name]
        except KeyError:
            raise AttributeError(f"there is no {name} in the current request") from None


serving = Serving()


def _session() -> Any:
    try:
        return current.get()[0].environ["cptoolkit.session"]
    except LookupError:
        return serving.session  # says that there is none


class Proxy:
    """Stands for an object that is another one in each request."""

    __slots__ = ("_name", "_target")

    def __init__(self, name: str, target: Callable[[], Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_target", target)

    def __getattribute__(self, name: str) -> Any:
        # And not __getattr__, before which Python would look for the name here, in vain, and make
        # an exception of it: that takes several times as long.
        if not name.startswith("__"):
            return getattr(_target_of(self)(), name)
        try:
            return object.__getattribute__(self, name)
        except AttributeError:
            return getattr(_target_of(self)(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_target_of(self)(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_target_of(self)(), name)

    def __getitem__(self, key: Any) -> Any:
        return _target_of(self)()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        _target_of(self)()[key] = value

    def __delitem__(self, key: Any) -> None:
        del _target_of(self)()[key]

    def __contains__(self, key: Any) -> bool:
        return key in _target_of(self)()

    def __iter__(self) -> Iterator[Any]:
        return iter(_target_of(self)())

    def __len__(self) -> int:
        return len(_target_of(self)())

    def __bool__(self) -> bool:
        return bool(_target_of(self)())

    def __dir__(self) -> list[str]:
        return dir(_target_of(self)())

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        attributes: dict[str, Any] = vars(_target_of(self)())
        return attributes

    def __repr__(self) -> str:
        return f"<{_name_of(self)}: {_target_of(self)()!r}>"


# Their own attributes, which the names would not lead to.
_target_of: Callable[[Proxy], Callable[[], Any]] = Proxy._target.__get__  # type: ignore[attr-defined]
_name_of: Callable[[Proxy], str] = Proxy._name.__get__  # type: ignore[attr-defined]


def _current_request() -> Any:
    try:
        return current.get()[0]
    except LookupError:
        return _idle()[0]


def _current_response() -> Any:
    try:
        return current.get()[1]
    except LookupError:
        return _idle()[1]


request: Request = Proxy("request", _current_request)  # type: ignore[assignment]
response: Response = Proxy("response", _current_response)  # type: ignore[assignment]
session: Session = Proxy("session", _session)  # type: ignore[assignment]


class ThreadData(local):
    """A place for what a user wants one of per thread, a database connection say."""

    def clear(self) -> None:
        """Remove every attribute of this thread's."""
        self.__dict__.clear()


thread_data = ThreadData()
