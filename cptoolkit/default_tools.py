"""The toolbox ``cptoolkit.tools``: every tool that comes with the toolkit."""

from __future__ import annotations

from cptoolkit import handler_tools as functions
from cptoolkit.caching_tool import CachingTool
from cptoolkit.handler_tools import EncodeTool, XMLRPCTool
from cptoolkit.layer_tool import LayerTool
from cptoolkit.response_headers_tool import ResponseHeadersTool
from cptoolkit.session_auth_tool import SessionAuthTool
from cptoolkit.session_tool import SessionsTool
from cptoolkit.static_tool import StaticTool
from cptoolkit.timeout_tool import TimeoutTool
from cptoolkit.toolbox import ErrorTool, Tool, Toolbox
from cptoolkit.websocket_tool import WebSocketTool

tools = Toolbox("tools")

tools.accept = LayerTool("on_start_resource", "Accept")
tools.accept.callable = functions.accept  # says which media type it has chosen
tools.allow = Tool("on_start_resource", functions.allow)
tools.auth_basic = LayerTool(
    "before_request_body",
    "BasicAuth",
    priority=60,
    positional=("realm", "checkpassword", "debug", "accept_charset"),
)
tools.auth_digest = LayerTool(
    "before_request_body",
    "DigestAuth",
    priority=60,
    positional=("realm", "get_ha1", "key", "debug", "accept_charset"),
)
tools.autovary = Tool("on_start_resource", functions.autovary, priority=0)
tools.body_limit = LayerTool("on_start_resource", "BodyLimit", priority=5)
tools.caching = CachingTool()
tools.compress = LayerTool("before_finalize", "Compress", priority=80)
tools.cors = LayerTool("on_start_resource", "CORS", priority=5, after_priority=90, on_errors=True)
tools.decode = Tool("before_request_body", functions.decode)
tools.encode = EncodeTool("before_handler", functions.encode, priority=70)
tools.err_redirect = ErrorTool(functions.redirect)
tools.etags = LayerTool("before_finalize", "ETags", priority=75)
tools.expires = LayerTool("before_finalize", "Expires")
tools.flatten = Tool("before_finalize", functions.flatten)
tools.gzip = LayerTool(
    "before_finalize", "Gzip", priority=80, positional=("compress_level", "mime_types", "debug")
)
tools.ignore_headers = LayerTool("before_request_body", "IgnoreHeaders")
tools.json_in = Tool("before_request_body", functions.json_in, priority=30)
tools.json_out = Tool("before_handler", functions.json_out, priority=30)
tools.log = LayerTool(
    "on_start_resource", "AccessLog", priority=0, after_priority=100, on_errors=True
)
tools.log_headers = Tool("before_error_response", functions.log_request_headers)
tools.log_hooks = Tool("on_end_request", functions.log_hooks, priority=100)
tools.log_tracebacks = Tool("before_error_response", functions.log_traceback)
tools.params = Tool("before_handler", functions.convert_params, priority=15)
tools.proxy = LayerTool("before_request_body", "Proxy", priority=30)
tools.rate_limit = LayerTool("before_request_body", "RateLimit", priority=40)
tools.redirect = Tool("on_start_resource", functions.redirect)
tools.referer = LayerTool("before_request_body", "Referer")
tools.request_id = LayerTool(
    "on_start_resource", "RequestID", priority=0, after_priority=90, on_errors=True
)
tools.response_headers = ResponseHeadersTool()
tools.secureheaders = LayerTool("on_start_resource", "SecureHeaders", priority=60, on_errors=True)
tools.session_auth = SessionAuthTool()
tools.sessions = SessionsTool()
tools.staticdir = StaticTool("StaticDir", ("section", "dir"))
tools.staticfile = StaticTool("StaticFile", ("filename",))
tools.stats = LayerTool(
    "on_start_resource", "Stats", priority=0, after_priority=100, on_errors=True
)
tools.timeout = TimeoutTool("before_handler", "Timeout", priority=100)
tools.trailing_slash = Tool("before_handler", functions.trailing_slash, priority=60)
tools.websocket = WebSocketTool()
tools.xmlrpc = XMLRPCTool()
