"""Tutorial 3: pages with parameters.

The query string of ``/generate?length=12`` calls ``generate(length="12")``, and so does the path
of ``/generate/12``. Values arrive as text. A parameter that the method does not have gives the
client a 404.
"""

import random

import cptoolkit

DIGITS = "0123456789abcdef"


class Generator:
    @cptoolkit.expose
    def index(self) -> str:
        return "A random number of 12 digits is at /generate?length=12."

    @cptoolkit.expose
    def generate(self, length: str = "8") -> str:
        return "".join(random.sample(DIGITS, int(length)))


if __name__ == "__main__":
    cptoolkit.quickstart(Generator())
