"""Tutorial 4: a site of several objects.

An attribute that is an object is a part of the site: ``/rooms/`` is the method ``index`` of
``root.rooms``, ``/rooms/egypt`` its method ``egypt``, and ``/rooms/garden/pond`` lies one object
deeper. So the tree of objects is the map of the site, and a part of it moves when it is assigned
to another place.

Mind the slash: ``/rooms/`` has pages below it, ``/rooms/egypt`` is a page. Who asks for ``/rooms``
is sent on to ``/rooms/``, from where links such as ``<a href="egypt">`` lead to the right address.
"""

import cptoolkit

PAGE = "<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}\n"


class Garden:
    @cptoolkit.expose
    def index(self) -> str:
        return PAGE.format(title="The garden", text='It has a <a href="pond">pond</a>.')

    @cptoolkit.expose
    def pond(self) -> str:
        return PAGE.format(title="The pond", text='Carp. <a href="../">Up to the rooms</a>')


class Rooms:
    garden = Garden()

    @cptoolkit.expose
    def index(self) -> str:
        links = '<a href="egypt">Egypt</a>, <a href="rome">Rome</a>, <a href="garden/">garden</a>'
        return PAGE.format(title="The rooms", text=links)

    @cptoolkit.expose
    def egypt(self) -> str:
        return PAGE.format(title="Egypt", text="Three mummies and a cat.")

    @cptoolkit.expose
    def rome(self) -> str:
        return PAGE.format(title="Rome", text="Lamps, coins, a dog of clay.")


class Museum:
    rooms = Rooms()

    @cptoolkit.expose
    def index(self) -> str:
        return PAGE.format(title="The museum", text='See our <a href="rooms/">rooms</a>.')


root = Museum()

if __name__ == "__main__":
    cptoolkit.quickstart(root)
