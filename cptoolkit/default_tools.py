"""The toolbox ``cptoolkit.tools``: every tool that comes with the toolkit."""

from __future__ import annotations

from cptoolkit import handler_tools as functions
from cptoolkit.handler_tools import EncodeTool, XMLRPCTool
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.accept import Accept
from cptoolkit.toolbox import ErrorTool, Tool, Toolbox

tools = Toolbox("tools")

tools.accept = LayerTool("on_start_resource", Accept)
tools.allow = Tool("on_start_resource", functions.allow)
tools.autovary = Tool("on_start_resource", functions.autovary, priority=0)
tools.decode = Tool("before_request_body", functions.decode)
tools.encode = EncodeTool("before_handler", functions.encode, priority=70)
tools.err_redirect = ErrorTool(functions.redirect)
tools.flatten = Tool("before_finalize", functions.flatten)
tools.json_in = Tool("before_request_body", functions.json_in, priority=30)
tools.json_out = Tool("before_handler", functions.json_out, priority=30)
tools.log_headers = Tool("before_error_response", functions.log_request_headers)
tools.log_hooks = Tool("on_end_request", functions.log_hooks, priority=100)
tools.log_tracebacks = Tool("before_error_response", functions.log_traceback)
tools.params = Tool("before_handler", functions.convert_params, priority=15)
tools.redirect = Tool("on_start_resource", functions.redirect)
tools.trailing_slash = Tool("before_handler", functions.trailing_slash, priority=60)
tools.xmlrpc = XMLRPCTool()
