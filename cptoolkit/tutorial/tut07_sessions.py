"""Tutorial 7: remember the visitor.

``cptoolkit.session`` is a dict, and each visitor has one of their own. The tool ``sessions`` turns
it on, here for all that is in the class; a cookie tells the visitors apart. It is kept in memory
until it has not been used for an hour, unless config says another place and time. Nothing is kept,
and no cookie is sent, before something is put into it.

A page that changes something is asked for with POST: the tool ``allow`` refuses the rest. The
answer is a redirect to the page that shows the change, so that to reload that one changes nothing.
And what a visitor has written is escaped before it becomes a part of a page.
"""

from html import escape

import cptoolkit

MOST_WISHES = 20
LONGEST_WISH = 80

PAGE = f"""\
<!DOCTYPE html>
<title>Wishes</title>
<ul>%s</ul>
<form method="post" action="add">
  <label>I wish for <input name="wish" maxlength="{LONGEST_WISH}" required></label>
  <button>Add</button>
</form>
<form method="post" action="forget"><button>Forget them all</button></form>
"""


@cptoolkit.tools.sessions()
class Wishes:
    @cptoolkit.expose
    def index(self) -> str:
        wishes = cptoolkit.session.get("wishes", [])
        return PAGE % "".join(f"<li>{escape(wish)}" for wish in wishes)

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    def add(self, wish: str) -> None:
        wishes = [*cptoolkit.session.get("wishes", []), wish[:LONGEST_WISH]]
        cptoolkit.session["wishes"] = wishes[-MOST_WISHES:]
        raise cptoolkit.HTTPRedirect("/")

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    def forget(self) -> None:
        cptoolkit.session.pop("wishes", None)
        raise cptoolkit.HTTPRedirect("/")


if __name__ == "__main__":
    cptoolkit.quickstart(Wishes())
