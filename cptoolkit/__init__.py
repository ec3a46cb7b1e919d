"""Write a web application as a tree of objects; run it on any WSGI host.

::

    import cptoolkit

    class Hello:
        @cptoolkit.expose
        def index(self):
            return "Hello world!"

    if __name__ == "__main__":
        cptoolkit.quickstart(Hello())
"""

from __future__ import annotations

import typing as _typing
import warnings as _warnings
from pathlib import Path as _Path

_here = _Path(__file__).parent
if not (_here / "middleware").is_dir() and (_here.parent / "middleware" / "layer.py").is_file():
    # In a checkout two of the subpackages stand beside this one (package_dir in setup.cfg).
    __path__.append(str(_here.parent))

with _warnings.catch_warnings():
    # Python 3.11 and 3.12 warn of a module that webob 1.8 imports; whoever runs a program of ours
    # with -W error could do nothing about it.
    _warnings.filterwarnings("ignore", "'cgi' is deprecated", DeprecationWarning)
    import webob as _webob  # noqa: F401

from cptoolkit import dispatch, module_aliases, process
from cptoolkit.application import Application
from cptoolkit.context import request, response, serving, session, thread_data
from cptoolkit.decorators import expose, popargs
from cptoolkit.http.errors import (
    CherryPyException,
    HTTPError,
    HTTPRedirect,
    InternalRedirect,
    NotFound,
    TimeoutError,
)
from cptoolkit.mounts import Tree
from cptoolkit.pipeline import Pipeline, Use, use
from cptoolkit.site import checker, config, engine, log, quickstart, server, tools, tree
from cptoolkit.toolbox import Tool
from cptoolkit.urls import url
from cptoolkit.version import __version__

__all__ = [
    "Application",
    "CherryPyException",
    "HTTPError",
    "HTTPRedirect",
    "InternalRedirect",
    "NotFound",
    "Pipeline",
    "TimeoutError",
    "Tool",
    "Tree",
    "Use",
    "__version__",
    "checker",
    "config",
    "dispatch",
    "engine",
    "expose",
    "log",
    "popargs",
    "process",
    "quickstart",
    "request",
    "response",
    "server",
    "serving",
    "session",
    "thread_data",
    "tools",
    "tree",
    "url",
    "use",
]

module_aliases.install()
if _typing.TYPE_CHECKING:
    from cptoolkit import compat as compat
    from cptoolkit import middleware as middleware
    from cptoolkit import servers as servers

    # Modules of CherryPy's. Type checkers know no more of them than that they are there.
    _cpconfig: _typing.Any
    _cpdispatch: _typing.Any
    _cperror: _typing.Any
    _cplogging: _typing.Any
    _cpreqbody: _typing.Any
    _cprequest: _typing.Any
    _cptools: _typing.Any
    _cptree: _typing.Any
    _cpwsgi: _typing.Any
    lib: _typing.Any
    wsgiserver: _typing.Any
else:  # type checkers would take any name at all for one of ours
    __getattr__ = module_aliases.attribute
