"""Have ``import cherrypy`` mean cptoolkit in the child processes of a CherryPy program, too.

Python imports this by itself when it starts (see the standard module ``site``), as the folder is in
the program's PYTHONPATH: :func:`cptoolkit.compat.install_as_cherrypy` has put it there. A child may
be any program, so nothing happens here unless it asks for cherrypy.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder


class FirstImport:
    """Waits for the first import of cherrypy, and has the alias installed before it."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "cherrypy":
            return None
        sys.meta_path.remove(self)
        try:
            from cptoolkit.compat import install_as_cherrypy
        except ModuleNotFoundError as error:
            if error.name == "cptoolkit":  # an interpreter of another environment
                return None
            raise
        install_as_cherrypy(children=True)
        # What is there when a finder returns is loaded once more, by the spec that it has.
        del sys.modules["cherrypy"]
        return sys.meta_path[0].find_spec(fullname, None)


def leave_path() -> None:
    """Take the folder of this module from ``sys.path``; the environment keeps it."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]


def run_next() -> None:
    """Import the ``sitecustomize`` that stands behind this one, as only the first is found."""
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec  # not above: there seldom is one

    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, FirstImport())
    leave_path()
    run_next()
