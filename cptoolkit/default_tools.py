"""The toolbox ``cptoolkit.tools``: every tool that comes with the toolkit.

Layers are imported once they are needed. Their classes are named here, and not only their names,
for type checkers to know the tools' options by.
"""

from __future__ import annotations

from cptoolkit import content_tools, handler_tools, middleware
from cptoolkit.accept_tool import AcceptTool
from cptoolkit.caching_tool import CachingTool
from cptoolkit.content_tools import EncodeTool, XMLRPCTool
from cptoolkit.debugger_tool import DebuggerTool
from cptoolkit.introspection.tool import ExplainTool
from cptoolkit.layer_tool import LayerTool
from cptoolkit.params_tool import convert_params
from cptoolkit.response_headers_tool import ResponseHeadersTool
from cptoolkit.session_auth_tool import SessionAuthTool
from cptoolkit.session_tool import SessionsTool
from cptoolkit.static_tool import StaticTool
from cptoolkit.timeout_tool import TimeoutTool
from cptoolkit.toolbox import ErrorTool, Tool, Toolbox
from cptoolkit.websocket_tool import WebSocketTool


class DefaultTools(Toolbox):
    """A toolbox that has every tool."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.accept = AcceptTool(lambda: middleware.Accept)
        self.allow = Tool("on_start_resource", handler_tools.allow)
        self.auth_basic = LayerTool(
            "before_request_body",
            lambda: middleware.BasicAuth,
            priority=60,
            positional=("realm", "checkpassword", "debug", "accept_charset"),
        )
        self.auth_digest = LayerTool(
            "before_request_body",
            lambda: middleware.DigestAuth,
            priority=60,
            positional=("realm", "get_ha1", "key", "debug", "accept_charset"),
        )
        self.autovary = Tool("on_start_resource", handler_tools.autovary, priority=0)
        self.body_limit = LayerTool("on_start_resource", lambda: middleware.BodyLimit, priority=5)
        self.caching = CachingTool(lambda: middleware.Cache)
        self.compress = LayerTool("before_finalize", lambda: middleware.Compress, priority=80)
        self.cors = LayerTool(
            "on_start_resource",
            lambda: middleware.CORS,
            priority=5,
            after_priority=90,
            on_errors=True,
        )
        self.debugger = DebuggerTool()
        self.decode = Tool("before_request_body", content_tools.decode)
        self.encode = EncodeTool("before_handler", content_tools.encode, priority=70)
        self.err_redirect = ErrorTool(handler_tools.redirect)
        self.etags = LayerTool("before_finalize", lambda: middleware.ETags, priority=75)
        self.expires = LayerTool("before_finalize", lambda: middleware.Expires)
        self.explain = ExplainTool()
        self.flatten = Tool("before_finalize", content_tools.flatten)
        self.gzip = LayerTool(
            "before_finalize",
            lambda: middleware.Gzip,
            priority=80,
            positional=("compress_level", "mime_types", "debug"),
        )
        self.ignore_headers = LayerTool("before_request_body", lambda: middleware.IgnoreHeaders)
        self.json_in = Tool("before_request_body", content_tools.json_in, priority=30)
        self.json_out = Tool("before_handler", content_tools.json_out, priority=30)
        self.log = LayerTool(
            "on_start_resource",
            lambda: middleware.AccessLog,
            priority=0,
            after_priority=100,
            on_errors=True,
        )
        self.log_headers = Tool("before_error_response", handler_tools.log_request_headers)
        self.log_hooks = Tool("on_end_request", handler_tools.log_hooks, priority=100)
        self.log_tracebacks = Tool("before_error_response", handler_tools.log_traceback)
        self.params = Tool("before_handler", convert_params, priority=15)
        self.proxy = LayerTool("before_request_body", lambda: middleware.Proxy, priority=30)
        self.rate_limit = LayerTool(
            "before_request_body", lambda: middleware.RateLimit, priority=40
        )
        self.redirect = Tool("on_start_resource", handler_tools.redirect)
        self.referer = LayerTool("before_request_body", lambda: middleware.Referer)
        self.request_id = LayerTool(
            "on_start_resource",
            lambda: middleware.RequestID,
            priority=0,
            after_priority=90,
            on_errors=True,
        )
        self.response_headers = ResponseHeadersTool(lambda: middleware.ResponseHeaders)
        self.secureheaders = LayerTool(
            "on_start_resource", lambda: middleware.SecureHeaders, priority=60, on_errors=True
        )
        self.session_auth = SessionAuthTool(lambda: middleware.SessionAuth)
        self.sessions = SessionsTool(lambda: middleware.Sessions)
        self.staticdir = StaticTool(lambda: middleware.StaticDir, ("section", "dir"))
        self.staticfile = StaticTool(lambda: middleware.StaticFile, ("filename",))
        self.stats = LayerTool(
            "on_start_resource",
            lambda: middleware.Stats,
            priority=0,
            after_priority=100,
            on_errors=True,
        )
        self.timeout = TimeoutTool("before_handler", lambda: middleware.Timeout, priority=100)
        self.trailing_slash = Tool("before_handler", handler_tools.trailing_slash, priority=60)
        self.websocket = WebSocketTool(lambda: middleware.WebSocket)
        self.xmlrpc = XMLRPCTool()


tools = DefaultTools("tools")
