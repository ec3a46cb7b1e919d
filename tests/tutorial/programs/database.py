"""Letters kept in SQLite while the site is up: the ninth tutorial of the reference."""

import random
import sqlite3
import string
import time
from contextlib import closing

from ajax import Page, config

import cptoolkit as cherrypy

DATABASE = "letters.db"


def execute(statement, *values):
    """The first row of what is found, in a connection of its own: each belongs to one thread."""
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        return connection.execute(statement, values).fetchone()


@cherrypy.expose
class KeptLetters:
    @cherrypy.tools.accept(media="text/plain")
    def GET(self):
        cherrypy.session["seen"] = time.time()
        return execute("SELECT letters FROM drawn WHERE visitor = ?", cherrypy.session.id)

    def POST(self, length=8):
        cherrypy.session["seen"] = time.time()
        letters = "".join(random.sample(string.ascii_lowercase, int(length)))
        execute("INSERT INTO drawn VALUES (?, ?)", cherrypy.session.id, letters)
        return letters

    def PUT(self, letters):
        cherrypy.session["seen"] = time.time()
        execute("UPDATE drawn SET letters = ? WHERE visitor = ?", letters, cherrypy.session.id)

    def DELETE(self):
        cherrypy.session.pop("seen", None)
        execute("DELETE FROM drawn WHERE visitor = ?", cherrypy.session.id)


def make_table():
    execute("CREATE TABLE drawn (visitor, letters)")


def drop_table():
    execute("DROP TABLE drawn")


if __name__ == "__main__":
    cherrypy.engine.subscribe("start", make_table)
    cherrypy.engine.subscribe("stop", drop_table)
    page = Page()
    page.letters = KeptLetters()
    cherrypy.quickstart(page, "/", config())
