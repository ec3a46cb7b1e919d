"""Tutorial 10: when there is no page.

Whatever stands in the way of a page is raised: ``HTTPError`` with a status and a message,
``NotFound``, or ``HTTPRedirect`` to another address. What your code did not expect, here a division
by zero, is a 500: the log has the traceback, and so has the page, but only for a browser on this
machine.

A function, or a file, can give the page of a status, ``error_page.404``, or of all the others,
``error_page.default``. What it is given has been escaped.
"""

import cptoolkit

LINKS = """\
<!DOCTYPE html>
<title>Errors</title>
<ul>
<li><a href="staff">For the staff</a>
<li><a href="nowhere">Nowhere</a>
<li><a href="old">What has moved</a>
<li><a href="broken">What is broken</a>
</ul>
"""

MISSING = """\
<!DOCTYPE html>
<title>{status}</title>
<h1>There is nothing here</h1>
<p>{message}
<p><a href="/">Have a look at what there is.</a>
"""


def missing(status: str, message: str, traceback: str, version: str) -> str:
    return MISSING.format(status=status, message=message)


class Errors:
    @cptoolkit.expose
    def index(self) -> str:
        return LINKS

    @cptoolkit.expose
    def staff(self) -> str:
        raise cptoolkit.HTTPError(403, "This page is for the staff of the museum.")

    @cptoolkit.expose
    def old(self) -> str:
        raise cptoolkit.HTTPRedirect("/", 301)

    @cptoolkit.expose
    def broken(self) -> str:
        return f"Each of us gets {12 // len(self.visitors())} apples."

    def visitors(self) -> list[str]:
        return []


app = cptoolkit.Application(Errors(), config={"/": {"error_page.404": missing}})

if __name__ == "__main__":
    cptoolkit.quickstart(app)
