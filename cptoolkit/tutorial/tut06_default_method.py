"""Tutorial 6: addresses that are data.

Nobody writes a method for each thing in a museum. The method ``default`` takes the addresses for
which its object has nothing else, and what is left of the path becomes its arguments: ``/egypt``
calls ``default("egypt")``, ``/egypt/cat`` calls ``default("egypt", "cat")``. It decides whether
there is such a page, and raises ``NotFound`` if not. A path with more parts than it has parameters
is not found either.
"""

from collections.abc import Iterable

import cptoolkit

ROOMS = {
    "egypt": {"mummy": "3000 years old, and well.", "cat": "Sat at the feet of a queen."},
    "rome": {"lamp": "Burned olive oil.", "dog": "Made of clay."},
}


class Museum:
    @cptoolkit.expose
    def index(self) -> str:
        return page("The museum", links("/", ROOMS))

    @cptoolkit.expose
    def default(self, room: str, thing: str | None = None) -> str:
        things = ROOMS.get(room, {})
        if thing is None and things:
            return page(room, links(f"/{room}/", things))
        if thing in things:
            return page(thing, things[thing])
        raise cptoolkit.NotFound()


def page(title: str, text: str) -> str:
    return f"<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}\n"


def links(place: str, names: Iterable[str]) -> str:
    return ", ".join(f'<a href="{place}{name}">{name}</a>' for name in names)


if __name__ == "__main__":
    cptoolkit.quickstart(Museum())
