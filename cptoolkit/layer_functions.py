"""Layers as functions under CherryPy's names, for handlers, hooks and tools that call them."""

from __future__ import annotations

from cptoolkit.default_tools import tools

gzip = tools.gzip.callable
ignore_headers = tools.ignore_headers.callable
referer = tools.referer.callable
response_headers = tools.response_headers.callable
session_auth = tools.session_auth.callable
