"""Tutorial 3: what the client sends.

The fields of a form call ``generate(length="12")``, and so does the link to
``/generate?length=12``: parameters are the same thing whichever way they come. Change the form's
method to ``post``, and they travel in the body of the request instead of the URL, without a
change to ``generate``.

Values arrive as text. The tool ``params`` makes of them what the annotations say, and answers for
those of which it cannot: the client gets a 400. A parameter that the method does not have is a
404. What your own rules forbid you refuse yourself, with an ``HTTPError``.
"""

import random

import cptoolkit

DIGITS = "0123456789abcdef"

FORM = """\
<!DOCTYPE html>
<title>A random number</title>
<form method="get" action="generate">
  <label>Digits <input type="number" name="length" value="8" min="1" max="16"></label>
  <button>Give me a number</button>
</form>
<p>or <a href="generate?length=12">one of 12 digits</a></p>
"""


class Generator:
    @cptoolkit.expose
    def index(self) -> str:
        return FORM

    @cptoolkit.expose
    @cptoolkit.tools.params()
    def generate(self, length: int = 8) -> str:
        if not 1 <= length <= len(DIGITS):
            raise cptoolkit.HTTPError(400, f"length must be 1 to {len(DIGITS)}, got {length}")
        return "".join(random.sample(DIGITS, length))


if __name__ == "__main__":
    cptoolkit.quickstart(Generator())
