"""Tutorial 8: pages in pieces.

A page handler may be a generator, as ``index`` is. What it yields is put together, and the page is
sent when the last piece is there: so it has a Content-Length, and an error on the way still becomes
an error page.

With ``response.stream`` the pieces are sent as they come. The first primes are on the screen while
the next are looked for, and memory holds no more than a few, however many there are. The status and
the header fields go before the first piece, so ``primes`` decides on them, and only then returns
the generator. That one is closed when the visitor leaves: its ``finally`` tidies up in any case.
"""

from collections.abc import Iterator
from math import isqrt

import cptoolkit

HIGHEST = 10_000_000


class Numbers:
    @cptoolkit.expose
    def index(self) -> Iterator[str]:
        yield "<!DOCTYPE html>\n<title>Primes</title>\n<ul>"
        for below in (100, 10_000, HIGHEST):
            yield f'<li><a href="primes?below={below}">below {below:,}</a>'
        yield "</ul>\n"

    @cptoolkit.expose
    @cptoolkit.tools.params()
    @cptoolkit.config(**{"response.stream": True})
    def primes(self, below: int = 100) -> Iterator[str]:
        if below > HIGHEST:
            raise cptoolkit.HTTPError(400, f"below must be at most {HIGHEST}, got {below}")
        cptoolkit.response.headers["Content-Type"] = "text/plain"
        return self.lines(below)

    def lines(self, below: int) -> Iterator[str]:
        sent = 0
        try:
            for number in filter(is_prime, range(2, below)):
                yield f"{number}\n"
                sent += 1
        finally:
            cptoolkit.log(f"{sent} primes sent")


def is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, isqrt(number) + 1))


if __name__ == "__main__":
    cptoolkit.quickstart(Numbers())
