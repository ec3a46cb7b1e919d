"""Run programs written for CherryPy: its module names, and cptoolkit in its place.

The documented imports resolve under ``cptoolkit.`` always, ``cptoolkit._cptools`` for instance,
and under ``cherrypy.`` after :func:`install_as_cherrypy`. ``python -m cptoolkit.compat SCRIPT
[arguments]`` runs a program that way without a change to it, and so does ``python -m
cptoolkit.compat -m MODULE [arguments]``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cptoolkit.module_aliases import PACKAGE, PackageAliasFinder

CHERRYPY_VERSION = "18.10.0"
"""What ``cherrypy.__version__`` says: the version whose behaviour this toolkit goes by."""

ALIASES: dict[str, tuple[str, ...]] = {
    "_cache": ("caching_functions",),
    "_cpchecker": ("checks",),
    "_cpcompat": ("native_text",),
    "_cpconfig": ("configuration",),
    "_cpdispatch": ("dispatch",),
    "_cperror": ("http.errors", "http.error_pages"),
    "_cplogging": ("logs",),
    "_cpnative_server": ("native_server",),
    "_cpreqbody": ("http.body", "http.forms", "http.reader"),
    "_cprequest": ("http.request", "http.response", "hooks"),
    "_cpserver": ("process.httpserver",),
    "_cptools": ("toolbox", "tool_classes", "xmlrpc"),
    "_cptree": ("application", "mounts"),
    "_cpwsgi": ("middleware.virtual_host", "wsgi_pipeline"),
    "_cpwsgi_server": ("wsgi_server",),
    "_helper": ("decorators", "urls"),
    "_json": ("native_text",),
    "lib": ("lib_functions",),
    "lib.auth_basic": ("auth_functions", "middleware.auth.basic"),
    "lib.auth_digest": ("auth_functions", "middleware.auth.ha1", "middleware.auth.digest"),
    "lib.caching": ("caching_functions",),
    "lib.cpstats": ("statistics_page",),
    "lib.cptools": (
        "handler_tools",
        "content_tools",
        "params_tool",
        "proxy_functions",
        "static_functions",
        "layer_functions",
        "middleware.auth.session_auth",
    ),
    "lib.encoding": ("content_tools", "layer_functions"),
    "lib.gctools": ("memory_page",),
    "lib.http": ("http.values", "http.headers", "http.elements", "http.query"),
    "lib.httputil": ("http.values", "http.headers", "http.elements", "http.query"),
    "lib.jsontools": ("content_tools",),
    "lib.locking": ("deadlines",),
    "lib.profiler": ("profiler",),
    "lib.reprconf": ("configuration", "config_files", "config_parser"),
    "lib.sessions": (
        "session_functions",
        "middleware.sessions.session",
        "middleware.sessions.stored",
    ),
    "lib.static": ("static_functions",),
    "lib.xmlrpcutil": ("xmlrpc",),
    "test": ("testing",),
    "test.helper": ("testing.cp_web_case",),
    "test.helper.webtest": ("testing.web_case", "testing.failures"),
    "test.webtest": ("testing.web_case", "testing.failures"),
    "wsgiserver": ("wsgi_server",),
    "wsgiserver.ssl_builtin": ("wsgi_server",),
    "wsgiserver.ssl_pyopenssl": ("wsgi_server",),
}
"""CherryPy's module names, and the modules in which their contents are now; of a name that is in
several of them the first counts."""

ATTRIBUTES: dict[str, str] = {"_buslog": "site._log_engine", "session": "context.session"}
"""Further names of the package ``cherrypy`` itself, and where they are now. Programs delete the
session to have another one made: that leaves them this one."""

LEFT_OUT: dict[str, str] = {
    "_cpmodpy": "mod_python is no more: have mod_wsgi serve cptoolkit.tree, a WSGI application",
    "_cpwsgi.ExceptionTrapper": "around any WSGI application, use middleware.ErrorPages",
    "_cpwsgi.InternalRedirector": "an Application follows InternalRedirect by itself",
    "daemon": "use the command cptoolkit, which is python -m cptoolkit",
    "lib.auth_digest.HttpDigestAuthorization": "use middleware.DigestAuth or tools.auth_digest",
    "lib.auth_digest.synthesize_nonce": "use middleware.DigestAuth or tools.auth_digest",
    "lib.auth_digest.www_authenticate": "use middleware.DigestAuth or tools.auth_digest",
    "lib.covercp": "use the package coverage: coverage run SCRIPT",
    "process.servers.FlupCGIServer": "run cptoolkit.tree with wsgiref.handlers.CGIHandler",
    "process.servers.FlupFCGIServer": "set server.protocol to 'fastcgi'",
    "process.servers.FlupSCGIServer": "set server.protocol to 'scgi'",
    "process.win32": "Windows' services and console events are not served",
    "scaffold": "begin with python -m cptoolkit.tutorial.tut11_organize_my_code",
    "test.helper.CPProcess": "start the program by subprocess, and stop it by a signal",
    "test.helper.testmain": "run the tests by pytest or by python -m unittest",
    "wsgiserver.HTTPConnection": "connections are made by cptoolkit.servers.Server alone",
    "wsgiserver.HTTPRequest": "requests are read by cptoolkit.servers.Server alone; what it refuses"
    " is among cptoolkit.servers.Options",
}
"""What CherryPy has and the toolkit has not, on purpose, and what to use instead."""


def install_as_cherrypy(children: bool = False) -> None:
    """Make ``import cherrypy``, and whatever is below it, mean cptoolkit in this process.

    ``__version__`` is then :data:`CHERRYPY_VERSION`, for programs that look at it. Settings
    ``server.*`` and ``engine.*`` that nobody knows are told in the log, and no error.

    :param children: whether it is to mean that also in Python programs that this one starts. They
        are told by an entry in the environment's PYTHONPATH, and have to find cptoolkit.
    :raises RuntimeError: if CherryPy itself has been imported: two of them would not see each
        other's requests.
    """
    if children:
        _tell_children()
    package = sys.modules[PACKAGE]
    if sys.modules.get("cherrypy") is package:
        return
    for name, module in sys.modules.items():
        if name.partition(".")[0] == "cherrypy":
            raise RuntimeError(
                f"{name} has been imported already, from {getattr(module, '__file__', None)}:"
                " install_as_cherrypy() has to come before"
            )
    sys.meta_path.insert(0, PackageAliasFinder("cherrypy"))
    sys.modules["cherrypy"] = package
    package.__version__ = CHERRYPY_VERSION  # type: ignore[attr-defined]

    from cptoolkit.foreign_settings import keep_unknown_settings

    keep_unknown_settings()


def _tell_children() -> None:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child_processes")
    # An empty entry would be the current folder, whichever that is.
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if folder not in entries:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *entries])


_USAGE = """\
usage: python -m cptoolkit.compat SCRIPT [arguments]
       python -m cptoolkit.compat -m MODULE [arguments]

Run a CherryPy program, and have cptoolkit be its cherrypy."""


def main(words: Sequence[str]) -> int:
    """Run a CherryPy program as ``python`` would, but for its cherrypy.

    :param words: the path of the script or ``-m`` and a module, and the arguments.
    :returns: the exit status: 0, or 2 if there is no such program. What it raises, SystemExit
        included, travels on.
    """
    from cptoolkit.program import NoSuchProgram, run_module, run_script

    if not words or words[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if words else 2
    is_module = words[0] == "-m"
    if words[0].startswith("-") and (not is_module or len(words) < 2):
        print(f"cptoolkit.compat: wrong option {words[0]!r}\n{_USAGE}", file=sys.stderr)
        return 2
    install_as_cherrypy(children=True)
    try:
        if is_module:
            run_module(words[1], words[2:])
        else:
            run_script(words[0], words[1:])
    except NoSuchProgram as error:
        print(f"cptoolkit.compat: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
