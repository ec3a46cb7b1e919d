"""Tutorial 1: a page.

An application is an object. Its method ``index``, exposed, answers for the address ``/``, and
what it returns is the page.
"""

import cptoolkit


class HelloWorld:
    @cptoolkit.expose
    def index(self) -> str:
        return "Hello world!"


if __name__ == "__main__":
    cptoolkit.quickstart(HelloWorld())
