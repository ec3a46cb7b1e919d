"""Page handlers: how a callable of the object tree is called, and what a wrong call answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import Any

from cptoolkit.context import current
from cptoolkit.http.errors import HTTPError


class PageHandler:
    """A callable of the object tree with what it will be called with.

    :param callable: the function or method.
    :param args: positional arguments, by default the rest of the path.
    :param kwargs: keyword arguments.
    """

    __slots__ = ("args", "callable", "kwargs")

    def __init__(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.callable = callable
        self.args = args
        self.kwargs = kwargs

    def __call__(self) -> Any:
        """Call it.

        :raises HTTPError: 404 or 400 if the parameters do not fit its signature.
        """
        try:
            return self.callable(*self.args, **self.kwargs)
        except TypeError as error:
            refuse_mismatch(error, self.callable, self.args, self.kwargs)
            raise


class LateParamPageHandler(PageHandler):
    """A page handler whose keyword arguments are the request's parameters when it is called.

    So tools may change ``request.params`` until then.
    """

    __slots__ = ("_own",)

    def __init__(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.callable = callable
        self.args = args
        self._own = kwargs

    @property
    def kwargs(self) -> dict[str, Any]:
        """The request's parameters, and over them those of the constructor."""
        params = current.get()[0].params
        return {**params, **self._own} if self._own else dict(params)

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._own = kwargs

    def __call__(self) -> Any:
        """Call it.

        :raises HTTPError: 404 or 400 if the parameters do not fit its signature.
        """
        kwargs = current.get()[0].params
        if self._own:
            kwargs = {**kwargs, **self._own}
        try:
            return self.callable(*self.args, **kwargs)
        except TypeError as error:
            refuse_mismatch(error, self.callable, self.args, kwargs)
            raise


def refuse_mismatch(
    error: TypeError, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Answer a call that does not fit the signature; a TypeError from further in is let be.

    :raises HTTPError: 404 for parameters of the URL, which then names nothing that is here; 400
        for parameters of the body. The message says which.
    """
    if isinstance(function, MethodType):
        # The object is an argument too, and a client may send a parameter of its name.
        function, args = function.__func__, (function.__self__, *args)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        # Decorators may have changed the arguments: once the body runs, it fitted.
        if not _ran(inspect.unwrap(function), error.__traceback__):
            raise _mismatch(signature, args, kwargs) from error


def _ran(function: Any, trace: TracebackType | None) -> bool:
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    while trace is not None:
        if code is not None and trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return False


def _mismatch(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> HTTPError:
    request = current.get()[0]
    parameters = list(signature.parameters.values())
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    filled = {p.name for p in by_position[: len(args)]}
    shown = request.show_mismatched_params
    if len(args) > len(by_position) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        surplus = "/".join(map(str, args[len(by_position) :]))
        return HTTPError(404, f"Unexpected path segments: {surplus}" if shown else None)

    body_params = request.body.params if "_body" in vars(request) else {}

    def answer(what: str, names: set[str]) -> HTTPError:
        in_body = names.intersection(body_params or {})
        message = f"{what}: {', '.join(sorted(in_body or names))}" if shown else None
        return HTTPError(400 if in_body else 404, message)

    repeated = filled.intersection(kwargs, by_name)
    if repeated:
        return answer("Multiple values for parameters", repeated)
    missing = {
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in filled
        and (p.name not in kwargs or p.kind is p.POSITIONAL_ONLY)
    }
    if missing:
        names = ", ".join(sorted(missing))
        return HTTPError(404, f"Missing parameters: {names}" if shown else None)
    unexpected = set(kwargs) - by_name
    in_body = unexpected.intersection(body_params or {})
    if in_body:
        return answer("Unexpected body parameters", in_body)
    return answer("Unexpected query string parameters", unexpected)
