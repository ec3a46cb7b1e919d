"""The sessions tool: the session layer on the hook timeline (reference, 4.6)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from cptoolkit import middleware
from cptoolkit.context import current, serving
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerClass, LayerTool
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.toolbox import GENERAL_OPTIONS, F, P

if TYPE_CHECKING:
    from cptoolkit.application import Application
    from cptoolkit.http.request import Request
    from cptoolkit.middleware.layer import Layer
    from cptoolkit.plan import Plan

SAVE_PRIORITY = 90
"""Late at before_finalize, so that hooks there can still use the session."""


class SessionsTool(LayerTool[P]):
    """Gives page handlers ``cptoolkit.session``.

    Options that the layer does not know are those of the storage class.
    """

    def __init__(self, layer: LayerClass[P] = lambda: middleware.Sessions) -> None:  # type: ignore[assignment]
        super().__init__("before_request_body", layer, after_priority=SAVE_PRIORITY)

    leave_out: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """What takes away those options that the storage class lacks; None where they are an error."""

    def options(self) -> None:  # type: ignore[override]
        """Any: which ones there are depends on the storage class, and the layer checks them."""

    def _decorator(self, options: Mapping[str, Any]) -> Callable[[F], F]:
        # A storage class of one's own may know any name, and what is left out later is no error.
        if self.leave_out is None and "storage_class" not in _with_added_class(options):
            from cptoolkit.middleware.sessions.storage_options import StorageOptions

            known = {*self.layer.option_names(), *StorageOptions.option_names(), *GENERAL_OPTIONS}
            for name in options.keys() - known:
                if near := did_you_mean(name, known):
                    raise TypeError(f"the tool {self._name!r} has no option {name!r}{near}")
        return super()._decorator(options)

    def made(self, app: Application, options: dict[str, Any]) -> Layer:
        options = _with_added_class(options)
        if self.leave_out is not None:
            options = self.leave_out(options)
        return super().made(app, options)

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        options = dict(options)
        priority = options.pop("priority", None)
        layer = self.made(plan.app, options)
        name = layer.name  # type: ignore[attr-defined]
        begin, save, close = layer.before, layer.after, layer.finish

        def before() -> None:
            request = current.get()[0]
            if "cookie" in vars(request):
                _heed_jar(request, name)
            begin(request)

        def after() -> None:
            request, response = current.get()
            if type(response._app_iter) is not list:
                response.gather_body()  # a generator has its turn before the session is saved
            save(request, response)

        def end() -> None:
            request, response = current.get()
            if type(response._app_iter) is list:
                close(request, response)
            else:  # which may use the session while it is sent
                request.hooks.attach("on_end_request", finish, True, SAVE_PRIORITY)

        def finish() -> None:
            close(*current.get())

        assert self._point is not None
        plan.attach(
            self._point, Hook(before, priority=self._priority if priority is None else priority)
        )
        plan.attach("before_finalize", Hook(after, priority=SAVE_PRIORITY))
        plan.attach("on_end_resource", Hook(end, failsafe=True, priority=SAVE_PRIORITY))

    def regenerate(self) -> None:
        """Go on under a new id with the same data: at login."""
        serving.session.regenerate()


def _with_added_class(options: Mapping[str, Any]) -> dict[str, Any]:
    """Have ``storage_type`` also be what a program has added to ``cptoolkit.lib.sessions``.

    Programs written for CherryPy bring storage classes that way: "mongo" is ``MongoSession``.
    """
    named = dict(options)
    module = sys.modules.get("cptoolkit.lib.sessions")
    name = f"{str(named.get('storage_type')).title()}Session"
    if module is not None and (kind := vars(module).get(name)):
        del named["storage_type"]
        named["storage_class"] = kind
    return named


def _heed_jar(request: Request, name: str) -> None:
    """Have the session's cookie be what hooks have made of it in ``request.cookie``.

    An API takes the id from a header field of its own that way, for clients without cookies.
    """
    sent = SimpleCookie()
    with suppress(CookieError):
        sent.load(request.environ.get("HTTP_COOKIE", ""))
    jar = request.cookie
    # Where nothing has been changed the field stays, as it may have what no jar can read.
    if _value(jar, name) != _value(sent, name):
        request.environ["HTTP_COOKIE"] = "; ".join(f"{m.key}={m.coded_value}" for m in jar.values())


def _value(jar: SimpleCookie, name: str) -> str | None:
    morsel = jar.get(name)
    return None if morsel is None else morsel.value
