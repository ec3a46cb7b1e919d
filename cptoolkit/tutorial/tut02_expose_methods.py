"""Tutorial 2: more pages.

Each exposed method answers for the address of its name: try ``/generate``. Methods that are not
exposed cannot be reached.
"""

import random

import cptoolkit

DIGITS = "0123456789abcdef"


class Generator:
    @cptoolkit.expose
    def index(self) -> str:
        return "A random number is at /generate."

    @cptoolkit.expose
    def generate(self) -> str:
        return self.draw(8)

    def draw(self, length: int) -> str:
        return "".join(random.sample(DIGITS, length))


if __name__ == "__main__":
    cptoolkit.quickstart(Generator())
