"""Tutorial 4: a form.

The fields of a form arrive as parameters, too. Change its method to ``post``: they now travel in
the body of the request instead of the URL, and the page handler is called in the same way.
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
"""


class Generator:
    @cptoolkit.expose
    def index(self) -> str:
        return FORM

    @cptoolkit.expose
    def generate(self, length: str = "8") -> str:
        return "".join(random.sample(DIGITS, int(length)))


if __name__ == "__main__":
    cptoolkit.quickstart(Generator())
