"""The URLs of an application: its object tree, its patterns, and what config answers.

Nothing of the tree is called. Where only a request can tell what there is, by ``_cp_dispatch``,
``default`` or an attribute made on demand, the map has a segment in braces.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cptoolkit.dispatch import Dispatcher, RoutesDispatcher, VirtualHost, XMLRPCDispatcher
from cptoolkit.handler_search import static
from cptoolkit.introspection.survey import ANY, Found, Route, Survey, UrlMap, innermost
from cptoolkit.introspection.tree_walk import TreeWalk

if TYPE_CHECKING:
    from cptoolkit.application import Application


def url_map(app: Application, described: bool = True) -> UrlMap:
    """The URLs of an application.

    :param described: whether routes tell of handlers, parameters and tools. To name these, source
        files are read and the ``repr()`` of defaults is made.
    """
    survey = Survey(app, described)
    TreeWalk(survey)()
    _sections(survey)
    _dispatchers(survey)
    _hosts(survey)
    return survey.map


def _sections(survey: Survey) -> None:
    """The sections; without an object a tool that one turns on may answer."""
    for path, entries in survey.app.config.items():
        if not path.startswith("/"):
            continue
        sources = survey.sources_at(path)
        survey.map.sections.append((path, sources))
        tool_on = any(key.endswith(".on") and value for key, value in entries.items())
        if tool_on and path not in survey.visited:
            survey.add(f"{path}/{ANY}", "config", sources=sources, note=f"section [{path}]")


def _dispatchers(survey: Survey) -> None:
    """Dispatchers that do not look at the tree."""
    paths = [path for path, entries in survey.app.config.items() if "request.dispatch" in entries]
    for path in sorted({"/", *paths}):
        dispatcher = survey.app.dispatcher(path)
        if isinstance(dispatcher, XMLRPCDispatcher):
            note = "XML-RPC: what follows is looked up at the root"
            survey.add(f"/RPC2/{ANY}", "dispatcher", XMLRPCDispatcher, note=note)
        found = innermost(dispatcher)
        if isinstance(found, RoutesDispatcher):
            _patterns(survey, found)
        elif not isinstance(found, Dispatcher):
            sources = survey.sources_at(path)
            survey.add(f"{path.rstrip('/')}/{ANY}", "dispatcher", found, sources=sources)


def _patterns(survey: Survey, dispatcher: RoutesDispatcher) -> None:
    for pattern in dispatcher.mapper.matchlist:
        defaults = pattern.defaults
        controller = dispatcher.controllers.get(str(defaults.get("controller")))
        kind = controller if isinstance(controller, type) else type(controller)
        chosen_by_client = any(sign in pattern.routepath for sign in (":action", "{action"))
        action = None if chosen_by_client else defaults.get("action")
        handler = static(controller, str(action)) if action else None
        methods = (pattern.conditions or {}).get("method")
        path = f"/{pattern.routepath.lstrip('/')}"
        sources = survey.sources([], survey.app.root, "/")
        sources = survey.with_own(survey.with_own(sources, controller, ""), handler, "")
        survey.add(
            path,
            "pattern",
            kind if handler is None else getattr(handler, "__func__", handler),
            methods if methods is None else list(methods),
            sources,
            parameters_of=_bound(controller, handler),
        )


def _hosts(survey: Survey) -> None:
    """Name the hosts whose URLs lie in a part of the tree."""
    dispatcher = survey.app.dispatcher("/")
    while isinstance(dispatcher, XMLRPCDispatcher):
        dispatcher = dispatcher.next_dispatcher
    if not isinstance(dispatcher, VirtualHost):
        return
    for host, prefix in dispatcher.prefixes.items():
        for each in [each for each in survey.map.found if each.route["host"] is None]:
            path = each.route["path"]
            if f"{path}/".startswith(f"{prefix}/"):
                route = Route(**{**each.route, "host": host})
                route["path"] = path[len(prefix) :] or "/"
                survey.map.found.append(Found(route, each.sources))


def _bound(controller: Any, handler: Any) -> Any:
    """A method of a controller that may be a class, which gets an instance of it by and by."""
    if handler is None or not inspect.isfunction(handler):
        return None
    instance = controller if not isinstance(controller, type) else object()
    return handler.__get__(instance, type(instance))
