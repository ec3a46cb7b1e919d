"""Letters drawn for you: what the reference adds from its second to its sixth tutorial."""

import os
import random
import string

import cptoolkit as cherrypy

PAGE = """<!DOCTYPE html>
<title>Letters</title>
<link rel="stylesheet" href="/static/css/style.css">
<form method="get" action="draw">
  <input name="length" value="8">
  <button>Draw</button>
</form>
"""


class Letters:
    @cherrypy.expose
    def index(self):
        return PAGE

    @cherrypy.expose
    def draw(self, length=8):
        letters = "".join(random.sample(string.ascii_lowercase, int(length)))
        cherrypy.session["letters"] = letters
        return letters

    @cherrypy.expose
    def last(self):
        return cherrypy.session["letters"]


if __name__ == "__main__":
    site = {"tools.sessions.on": True, "tools.staticdir.root": os.path.abspath(os.getcwd())}
    static = {"tools.staticdir.on": True, "tools.staticdir.dir": "./public"}
    cherrypy.quickstart(Letters(), "/", {"/": site, "/static": static})
