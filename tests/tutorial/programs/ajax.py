"""A page and the service that its script calls: the eighth tutorial of the reference."""

import os

from service import PLAIN, LettersService

import cptoolkit as cherrypy


class Page:
    @cherrypy.expose
    def index(self):
        return open("index.html")


def config():
    return {
        "/": {"tools.sessions.on": True, "tools.staticdir.root": os.path.abspath(os.getcwd())},
        "/letters": PLAIN,
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "./public"},
    }


if __name__ == "__main__":
    page = Page()
    page.letters = LettersService()
    cherrypy.quickstart(page, "/", config())
