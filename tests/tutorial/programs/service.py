"""A web service for letters: the seventh tutorial of the reference."""

import random
import string

import cptoolkit as cherrypy


@cherrypy.expose
class LettersService:
    @cherrypy.tools.accept(media="text/plain")
    def GET(self):
        return cherrypy.session["letters"]

    def POST(self, length=8):
        letters = "".join(random.sample(string.ascii_lowercase, int(length)))
        cherrypy.session["letters"] = letters
        return letters

    def PUT(self, letters):
        cherrypy.session["letters"] = letters

    def DELETE(self):
        cherrypy.session.pop("letters", None)


PLAIN = {
    "request.dispatch": cherrypy.dispatch.MethodDispatcher(),
    "tools.response_headers.on": True,
    "tools.response_headers.headers": [("Content-Type", "text/plain")],
}

if __name__ == "__main__":
    cherrypy.quickstart(LettersService(), "/", {"/": {"tools.sessions.on": True, **PLAIN}})
