"""A program that was written for CherryPy."""

from __future__ import annotations

import cptoolkit as cherrypy


class Root:
    @cherrypy.expose
    @cherrypy.tools.json_out()
    def index(self) -> list[str]:
        return sorted(cherrypy.request.params)

    @cherrypy.expose
    def default(self, *path: str) -> str:
        if not path:
            raise cherrypy.NotFound()
        cherrypy.response.headers["Content-Type"] = "text/plain"
        name: str = cherrypy.session.get("name", "nobody")
        return name


def main() -> None:
    cherrypy.config.update({"server.socket_port": 9090, "log.screen": False})
    cherrypy.tree.mount(Root(), "/", {"/": {"tools.sessions.on": True}})
    cherrypy.engine.start()
    cherrypy.engine.block()
