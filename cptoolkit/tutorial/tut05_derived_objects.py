"""Tutorial 5: what pages have in common.

Pages are objects of your own classes, so what they share goes into a base class: here the frame
around the content. ``index`` is written and exposed once, in ``Page``, and inherited. Each page
says only what is its own.
"""

import cptoolkit

FRAME = """\
<!DOCTYPE html>
<title>{title}</title>
<nav><a href="/">Home</a> <a href="/hours/">Hours</a></nav>
<h1>{title}</h1>
{content}
<footer>The museum is closed on Mondays.</footer>
"""


class Page:
    """The frame of every page. Each has a title and content."""

    title = ""
    content = ""

    @cptoolkit.expose
    def index(self) -> str:
        return FRAME.format(title=self.title, content=self.content)


class Hours(Page):
    title = "Opening hours"
    content = "<p>Ten to six.</p>"


class Home(Page):
    title = "The museum"
    content = "<p>Welcome.</p>"
    hours = Hours()


root = Home()

if __name__ == "__main__":
    cptoolkit.quickstart(root)
