"""Run programs written for CherryPy: its module names, and cptoolkit in its place.

The documented imports resolve under ``cptoolkit.`` always, ``cptoolkit._cptools`` for instance,
and under ``cherrypy.`` after :func:`install_as_cherrypy`. ``python -m cptoolkit.compat SCRIPT
[arguments]`` runs a program that way without a change to it.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.module_aliases import PACKAGE, SameModule

ALIASES: dict[str, tuple[str, ...]] = {
    "_cache": ("caching_functions",),
    "_cpchecker": ("checks",),
    "_cpcompat": ("compat",),
    "_cpconfig": ("configuration",),
    "_cpdispatch": ("dispatch",),
    "_cperror": ("http.errors", "http.error_pages"),
    "_cplogging": ("logs",),
    "_cpreqbody": ("http.body", "http.forms", "http.reader"),
    "_cprequest": ("http.request", "http.response", "hooks"),
    "_cpserver": ("process.httpserver",),
    "_cptools": ("toolbox", "xmlrpc"),
    "_cptree": ("application",),
    "_cpwsgi": ("middleware.virtual_host", "wsgi_pipeline"),
    "_helper": ("decorators", "urls"),
    "lib": ("lib_functions",),
    "lib.auth_basic": ("auth_functions", "middleware.auth.basic"),
    "lib.auth_digest": ("auth_functions", "middleware.auth.ha1", "middleware.auth.digest"),
    "lib.caching": ("caching_functions",),
    "lib.cptools": (
        "handler_tools",
        "proxy_functions",
        "static_functions",
        "layer_functions",
        "middleware.auth.session_auth",
    ),
    "lib.encoding": ("handler_tools", "layer_functions"),
    "lib.httputil": ("http.values", "http.headers", "http.elements", "http.query"),
    "lib.jsontools": ("handler_tools",),
    "lib.reprconf": ("configuration", "config_files"),
    "lib.sessions": (
        "session_functions",
        "middleware.sessions.session",
        "middleware.sessions.stored",
    ),
    "lib.static": ("static_functions",),
    "lib.xmlrpcutil": ("xmlrpc",),
}
"""CherryPy's module names, and the modules in which their contents are now; of a name that is in
several of them the first counts."""


def install_as_cherrypy() -> None:
    """Make ``import cherrypy``, and whatever is below it, mean cptoolkit in this process.

    :raises RuntimeError: if CherryPy itself has been imported: two of them would not see each
        other's requests.
    """
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


class PackageAliasFinder:
    """Finds the whole package under another name. It has to be the first to be asked: others
    would find the same files, and make second copies of their modules."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        package, dot, name = fullname.partition(".")
        if package != self.alias:
            return None
        try:
            known = importlib.util.find_spec(f"{PACKAGE}{dot}{name}")
        except ModuleNotFoundError as error:
            message = str(error).replace(PACKAGE, self.alias)
            raise ModuleNotFoundError(message, name=fullname) from None
        if known is None:
            return None
        return ModuleSpec(fullname, SameModule(f"{PACKAGE}{dot}{name}"))


def main(words: Sequence[str]) -> int:
    """Run a CherryPy program as ``python SCRIPT`` would, but for its cherrypy.

    :param words: the path of the script, and its arguments.
    :returns: the exit status: 0, or 2 if there is no such script. What the program raises,
        SystemExit included, travels on.
    """
    if not words or words[0] in ("-h", "--help"):
        print("usage: python -m cptoolkit.compat SCRIPT [arguments]")
        return 0 if words else 2
    script = words[0]
    folder = os.path.dirname(os.path.abspath(script))
    if not os.path.isfile(script):
        near = did_you_mean(
            os.path.basename(script), os.listdir(folder) if os.path.isdir(folder) else []
        )
        print(f"cptoolkit.compat: there is no file {script!r}{near}", file=sys.stderr)
        return 2
    install_as_cherrypy()
    sys.argv = list(words)
    if not getattr(sys.flags, "safe_path", False):  # Python 3.11: -P
        sys.path[0] = folder
    runpy.run_path(script, run_name="__main__")
    return 0


def ntob(text: str, encoding: str = "ISO-8859-1") -> bytes:
    """Encode text.

    :raises TypeError: if it is not a str.
    """
    return _native(text).encode(encoding)


def ntou(text: str, encoding: str = "ISO-8859-1") -> str:
    """Return text as it is, now that every str is Unicode.

    :raises TypeError: if it is not a str.
    """
    return _native(text)


def tonative(text: str | bytes, encoding: str = "ISO-8859-1") -> str:
    """Decode bytes; return text as it is."""
    return text.decode(encoding) if isinstance(text, bytes) else text


def _native(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
