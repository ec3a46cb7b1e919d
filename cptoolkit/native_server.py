"""The bundled server without the WSGI layer, for object trees alone (reference, 5.9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptoolkit.application import Application
from cptoolkit.mounts import NO_APPLICATION, Tree
from cptoolkit.process.adapter import CannotServe
from cptoolkit.process.channels import ERROR
from cptoolkit.servers import Server
from cptoolkit.servers.native import NativeGateway

if TYPE_CHECKING:
    from cptoolkit.process.httpserver import Server as ServerOnBus
    from cptoolkit.servers.native import Answer
    from cptoolkit.servers.wsgi import Environ

_PLAIN = [("Content-Type", "text/plain;charset=utf-8")]


class CPHTTPServer(Server):
    """The bundled server, which hands requests straight to the Application of their path.

    What is not an object tree, or lies behind a ``wsgi.pipeline``, cannot be reached that way: such
    requests get 500, and a line in the log that tells the remedy.

    :param server_adapter: whose settings it takes, and whose ``app`` it serves, each time it
        starts; usually ``cptoolkit.server``.
    :raises CannotServe: if the settings make no sense.
    """

    gateway_class = NativeGateway
    app: Any

    def __init__(self, server_adapter: ServerOnBus) -> None:
        self._adapter = server_adapter
        super().__init__(self._answering(server_adapter.app))
        self.configure(server_adapter.options())

    def prepare(self) -> None:
        """Bind and listen, as the settings of the adapter say now.

        :raises CannotServe: if they make no sense, or there is no object tree to serve.
        :raises BindError: if the address cannot be had.
        """
        if self._listeners is None:
            self.app = self._answering(self._adapter.app)
            self.configure(self._adapter.options())
        super().prepare()

    def _answering(self, app: Any) -> Any:
        """Return what answers requests to ``app``, a tree or one application."""
        if isinstance(app, Application):
            tree = Tree()
            tree.apps[""] = app
        elif isinstance(app, Tree):
            tree = app
        else:
            raise CannotServe(f"The native server serves object trees, but server.app is {app!r}.")

        def answer(environ: Environ) -> Answer:
            apps = tree.apps
            if len(apps) == 1 and "" in apps and not environ["SCRIPT_NAME"]:
                found = apps[""]
            else:
                found, environ = tree.resolve(environ)
            if isinstance(found, Application) and not found.wsgiapp.pipeline:
                response, body = found.answer(environ)
                return response.status, response.headerlist, body
            if found is None:
                return "404 Not Found", _PLAIN, [NO_APPLICATION]
            return self._refuse(found, environ["SCRIPT_NAME"] or "/")

        return answer

    def _refuse(self, app: Any, mount_point: str) -> Answer:
        what = "has a wsgi.pipeline" if isinstance(app, Application) else "is a WSGI application"
        self._adapter.bus.log(
            f"The native server cannot serve {mount_point}: {app!r} {what}, which it by-passes. "
            "Leave server.httpserver alone, and the default server does.",
            ERROR,
        )
        return "500 Internal Server Error", _PLAIN, [b"This server cannot serve what is here."]
