"""Dispatchers: from the path of a request to its page handler and config.

A dispatcher is called with the path below the mount point. It sets ``request.handler``, and
``request.config`` or, as these do, ``request.plan``. See the reference, 5.2 and 7.3.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, NoReturn

from cptoolkit.context import current, serving
from cptoolkit.dispatch_steps import Detour, Match, Taken, Walk, observed, tell
from cptoolkit.handlers import LateParamPageHandler, PageHandler
from cptoolkit.http.errors import CherryPyException, HTTPError, HTTPRedirect, NotFound

__all__ = [
    "Dispatcher",
    "LateParamPageHandler",
    "MethodDispatcher",
    "PageHandler",
    "RoutesDispatcher",
    "VirtualHost",
    "XMLRPCDispatcher",
]

PUNCTUATION = str.maketrans(string.punctuation, "_" * len(string.punctuation))
"""What the names of a path are translated by, so that ``/my-page.html`` is ``my_page_html``."""

METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
    "COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "UNLOCK",
)  # fmt: skip
"""The methods that Allow can name: RFC 9110, section 9, RFC 5789 and the common ones of WebDAV."""

Found = tuple[Any, list[str]]


def step(node: Any, segment: str, translate: Mapping[int, Any] = PUNCTUATION) -> Any:
    """The attribute of an object that a segment of a path names; None without one."""
    name = segment if segment.isidentifier() else segment.translate(translate)
    # Nothing of Python's own is ever part of the tree.
    return None if name.startswith("__") else getattr(node, name, None)


class Dispatcher:
    """Walk the object tree, an attribute for each segment of the path.

    The deepest exposed object on the way is the page handler; an exposed ``default`` takes what
    is left. ``_cp_config`` of every object on the way counts, the deeper the more, and config
    sections of the same path count over it.

    :param dispatch_method_name: the method that may take segments for which there is no
        attribute (reference, 5.2.1); ``_cp_dispatch``.
    :param translate: a table for :meth:`str.translate` that makes segments identifiers.
    """

    dispatch_method_name = "_cp_dispatch"

    def __init__(
        self,
        dispatch_method_name: str | None = None,
        translate: Mapping[int, Any] = PUNCTUATION,
    ) -> None:
        if not isinstance(translate, Mapping):
            raise TypeError(f"translate must be a table for str.translate, got {translate!r}")
        self.translate = translate
        if dispatch_method_name:
            self.dispatch_method_name = dispatch_method_name

    def __call__(self, path_info: str) -> None:
        """Set the handler and the plan of the current request."""
        request = current.get()[0]
        found, vpath = self.find_handler(path_info)
        if found is None:
            request.handler = nothing_here
        elif vpath:
            # A slash that was quoted in the URL is part of its segment.
            request.handler = LateParamPageHandler(found, *[s.replace("%2F", "/") for s in vpath])
        else:
            request.handler = LateParamPageHandler(found)

    def find_handler(self, path: str) -> Found:
        """The page handler for a path and the segments left for it; ``(None, [])`` without one.

        Sets ``request.plan`` and ``request.is_index``.
        """
        request = current.get()[0]
        app = request.app
        assert app is not None
        sections = app.config
        node = app.root
        segments = [segment for segment in path.split("/") if segment]
        names = [*segments, "index"]
        total = len(names)

        sources: list[Mapping[str, Any]] = []
        config = getattr(node, "_cp_config", None)
        if config:
            sources.append(config)
        by_path = bool(sections)
        if "/" in sections:
            sources.append(sections["/"])
            by_path = len(sections) > 1
        # Each object on the way, how many names were left after it, and how many sources then.
        trail = [(node, total, len(sources))]

        # Longer paths than that have no section, and hostile ones cost no more than their length.
        longest = max(map(len, sections)) if by_path else 0
        so_far = ""
        owner = node
        left = names
        at = 0
        try:
            while at < len(left):
                segment = left[at]
                name = segment if segment.isidentifier() else segment.translate(self.translate)
                before = len(left) - at
                # Nothing of Python's own is ever part of the tree.
                found = None if name.startswith("__") else getattr(owner, name, None)
                if found is None and before > 1:  # there is more than the "index" nobody asked for
                    take = getattr(owner, self.dispatch_method_name, None)
                    if callable(take) and not getattr(take, "exposed", False):
                        left = left[at:]
                        at = 0
                        found = self._taken(take, node, left)
                        if observed:
                            tell(request, Taken(len(trail), take, found))
                if len(left) - at == before:
                    # Found, or not there, or ``return getattr(self, vpath[0], None)`` has left it.
                    at += 1
                node = found
                # A method has the attributes of its function, but to say that it lacks one takes it
                # 1 µs, a tenth of the request.
                owner = node.__func__ if type(node) is MethodType else node
                after = len(left) - at
                if node is not None:
                    config = getattr(owner, "_cp_config", None)
                    if config:
                        sources.append(config)
                if by_path:
                    for segment in names[total - before : total - after]:
                        so_far += "/" + segment
                        section = sections.get(so_far)
                        if section:
                            sources.append(section)
                    by_path = len(so_far) < longest
                trail.append((node, after, len(sources)))
        except Exception:  # of the tree, which is the user's
            if observed:
                tell(request, Walk(path, names, trail, sources, len(trail), None))
            raise

        handler, left_over, defaults_at, found_at = None, 0, -1, -1
        for index in range(len(trail) - 1, -1, -1):
            candidate, after, sources_until = trail[index]
            if candidate is None:
                continue
            owner = candidate.__func__ if type(candidate) is MethodType else candidate
            default = getattr(owner, "default", None)
            if default is not None and getattr(default, "exposed", False):
                config = getattr(getattr(default, "__func__", default), "_cp_config", None)
                if config:
                    sources.insert(sources_until, config)
                    defaults_at = sources_until
                request.is_index = path.endswith("/")
                handler, left_over, found_at = default, after, index
                break
            if getattr(owner, "exposed", False):
                request.is_index = index == len(trail) - 1
                handler, left_over, found_at = candidate, after, index
                break

        static = None
        for source in sources:
            if "tools.staticdir.dir" in source:
                static = _static_section(sources, trail, names, defaults_at)
                break
        if observed:
            tell(request, Walk(path, names, trail, sources, found_at, handler))
        request.plan = app.plans.merged(sources, static)
        return handler, segments[total - left_over :] if left_over > 1 else []

    def _taken(self, take: Callable[..., Any], node: Any, left: list[str]) -> Any:
        """The object that ``_cp_dispatch`` gives; it may take names off the list."""
        before = len(left)
        index = left.pop()
        found = take(vpath=left)
        left.append(index)
        if len(left) > before:
            raise CherryPyException(
                f"{self.dispatch_method_name} of {node!r} has added a segment to the path; it "
                "may only take segments away"
            )
        return found


def _static_section(
    sources: list[Mapping[str, Any]],
    trail: list[tuple[Any, int, int]],
    names: list[str],
    defaults_at: int,
) -> str:
    """The path of the deepest object or section that says ``tools.staticdir.dir``.

    :param defaults_at: which of the sources is that of a ``default`` method, whose path is that
        of the object that has it; -1 for none.
    """
    found = 0
    for number, source in enumerate(sources):
        if "tools.staticdir.dir" in source:
            found = number
    path = names[:-1]  # the last one is the "index" that nobody asked for
    for _, left, until in trail:
        if found < until or found == until == defaults_at:
            return "/" + "/".join(path[: len(names) - left])
    return "/" + "/".join(path)


def nothing_here() -> NoReturn:
    """The handler of a path that leads nowhere.

    :raises NotFound: always.
    """
    raise NotFound()


class MethodDispatcher(Dispatcher):
    """Walk to an exposed object whose methods are named after HTTP's: GET, POST and so on.

    HEAD is answered by GET where there is no HEAD. A method that the object lacks is a 405, and
    every answer has the Allow field of RFC 9110, section 10.2.1.
    """

    def __call__(self, path_info: str) -> None:
        request, response = current.get()
        resource, vpath = self.find_handler(path_info)
        if resource is None:
            request.handler = nothing_here
            return
        allowed = [name for name in METHODS if getattr(resource, name, None) is not None]
        if "GET" in allowed and "HEAD" not in allowed:
            allowed.append("HEAD")
        response.headers["Allow"] = ", ".join(sorted(allowed))

        method = request.method.upper()
        handle = getattr(resource, method, None) if method.isalpha() else None
        if handle is None and method == "HEAD":
            handle = getattr(resource, "GET", None)
        if not callable(handle):
            request.handler = HTTPError(405, headers=[("Allow", response.headers["Allow"])])
            return
        config = getattr(handle, "_cp_config", None)
        if config:
            self._extend(request, config)
        request.handler = LateParamPageHandler(
            handle, *[segment.replace("%2F", "/") for segment in vpath]
        )

    def _extend(self, request: Any, config: Mapping[str, Any]) -> None:
        if request._config is not None:  # a subclass has put it together
            request.config.update(config)
        else:
            request.plan = request.app.plans.extended(request.plan, config)


class RoutesDispatcher:
    """Find page handlers by the patterns of the Routes library (extra ``routes``).

    :param full_result: whether all that the pattern matched becomes parameters, and not only
        what the pattern itself names.
    :param mapper_options: options for :class:`routes.Mapper`.
    """

    def __init__(self, full_result: bool = False, **mapper_options: Any) -> None:
        try:
            import routes
        except ImportError as error:
            raise ImportError(
                "RoutesDispatcher needs the Routes library: pip install 'cptoolkit[routes]'"
            ) from error
        self.full_result = full_result
        self.controllers: dict[str, Any] = {}
        self.mapper = routes.Mapper(**mapper_options)
        self.mapper.controller_scan = self.controllers.keys

    def connect(self, name: str, route: str, controller: Any, **options: Any) -> None:
        """Answer the paths of a pattern by a controller's method.

        :param options: for :meth:`routes.Mapper.connect`; ``action`` names the method.
        """
        self.controllers[name] = controller
        self.mapper.connect(name, route, controller=name, **options)

    def redirect(self, url: str) -> None:
        """Answer with a redirect."""
        raise HTTPRedirect(url)

    def __call__(self, path_info: str) -> None:
        """Set the handler and the plan of the current request."""
        found = self.find_handler(path_info)
        current.get()[0].handler = LateParamPageHandler(found) if found else nothing_here

    def find_handler(self, path_info: str) -> Callable[..., Any] | None:
        """The method that the first matching pattern names; None without one."""
        import routes

        request = current.get()[0]
        app = request.app
        assert app is not None
        config = routes.request_config()
        config.mapper = self.mapper
        config.environ = request.environ
        config.host = request.headers.get("Host")
        config.protocol = request.scheme
        config.redirect = self.redirect

        found: Any = self.mapper.routematch(path_info)
        matched, route = found or ({}, None)
        result: dict[str, Any] = dict(matched)
        if observed:
            tell(request, Match(route and route.routepath, result))
        config.mapper_dict = result
        params = dict(result)
        if not self.full_result:
            params.pop("controller", None)
            params.pop("action", None)
        params.pop("_method", None)
        request.params.update(params)

        sources = [getattr(app.root, "_cp_config", None) or {}, app.config.get("/", {})]
        controller = self.controllers.get(str(result.get("controller")))
        handler = None
        if controller is not None:
            if isinstance(controller, type):
                controller = controller()
            sources.append(getattr(controller, "_cp_config", None) or {})
            # The client chooses the action where the pattern leaves it open.
            action = str(result.get("action") or "__")
            handler = None if action.startswith("__") else getattr(controller, action, None)
            if not callable(handler):
                handler = None
            sources.append(getattr(handler, "_cp_config", None) or {})
        segments = [segment for segment in path_info.split("/") if segment]
        for end in range(1, len(segments) + 1):
            sources.append(app.config.get("/" + "/".join(segments[:end]), {}))
        request.plan = app.plans.merged([source for source in sources if source])
        return handler


class XMLRPCDispatcher:
    """A dispatcher for XML-RPC: calls sent to ``/RPC2`` are looked up at the root.

    :param next_dispatcher: what finds the handler; the default :class:`Dispatcher`.
    """

    def __init__(self, next_dispatcher: Callable[[str], Any] | None = None) -> None:
        self.next_dispatcher = next_dispatcher or Dispatcher()

    def __call__(self, path_info: str) -> Any:
        """Have the handler of the current request found."""
        path = path_info if path_info.endswith("/") else path_info + "/"
        if not path.startswith("/RPC2/"):
            return self.next_dispatcher(path_info)
        path = "/" + path[len("/RPC2/") :]
        if observed:
            tell(serving.request, Detour(path, "/RPC2 stands for the root"))
        return self.next_dispatcher(path)


class VirtualHost:
    """A dispatcher that serves a part of the tree for each host name (reference, 8.8).

    :param next_dispatcher: what finds the handler; the default :class:`Dispatcher`.
    :param use_x_forwarded_host: whether the host that a proxy says the client has asked for
        counts over the Host field.
    :param domains: the path at which the tree of a host begins, by the value of Host; case does
        not count (RFC 9110, section 4.2.3).
    """

    def __init__(
        self,
        next_dispatcher: Callable[[str], Any] | None = None,
        use_x_forwarded_host: bool = True,
        **domains: str,
    ) -> None:
        self.next_dispatcher = next_dispatcher or Dispatcher()
        self.use_x_forwarded_host = use_x_forwarded_host
        self.prefixes = {host.lower(): path.rstrip("/") for host, path in domains.items()}

    def __call__(self, path_info: str) -> Any:
        """Have the handler of the current request found."""
        request = serving.request
        host = request.environ.get("HTTP_HOST", "")
        if self.use_x_forwarded_host:
            host = request.environ.get("HTTP_X_FORWARDED_HOST", host)
        prefix = self.prefixes.get(host.lower())
        if not prefix:
            return self.next_dispatcher(path_info)
        path = f"{prefix}/{path_info.lstrip('/')}"
        if observed:
            tell(request, Detour(path, f"the tree of the host {host} begins at {prefix}"))
        result = self.next_dispatcher(path)
        plan = request.plan
        # Looking at request.config makes a copy of it, which costs the request a plan of its own.
        config = plan.config if plan is not None and request._config is None else request.config
        section = config.get("tools.staticdir.section")
        if section:
            request.config["tools.staticdir.section"] = section[len(prefix) :]
        return result
