"""Tutorial 11: organize my code.

A shop has tills, where customers are served: these are your page handlers, and the customers are
the requests. Three kinds of code stand beside them, so that handlers can keep to what they are for.

* A *dispatcher* sends each customer to a till. It is called before any handler, with the path, and
  may look at the whole request: ``Tills`` has a till for those who carry the shop's card.
* A *tool* is what is done at some tills besides: ``discount``, in the same words at each that
  wants it, with an option for how much. A handler that does not name it has nothing to do with it.
* A *plugin* works while nobody is served. ``Storeroom`` lives from the start of the engine to its
  stop, and fills the shelf from time to time in a thread of its own. Handlers do not know it: they
  publish what they want on a channel of the engine, and who has subscribed to that one answers.
"""

from collections import Counter
from threading import Lock

import cptoolkit
from cptoolkit.process.plugins import Monitor
from cptoolkit.process.wspbus import Bus

PRICES = {"apple": 40, "bread": 320, "coffee": 650}  # cents
SHELF = 3  # of each

PAGE = """\
<!DOCTYPE html>
<title>The shop</title>
<form method="post" action="checkout">
{goods}
<button>Buy</button>
</form>
<form method="post" action="card"><button>Get the card</button></form>
"""
GOODS = '<label><input type="checkbox" name="item" value="{0}"> {0}, {1} cents</label><br>'


class Tills(cptoolkit.dispatch.Dispatcher):
    """Send those who have the card to their own till, and nobody else."""

    def __call__(self, path_info: str) -> None:
        if path_info in ("/checkout", "/friends"):
            path_info = "/friends" if "card" in cptoolkit.request.cookie else "/checkout"
        super().__call__(path_info)


def lower_prices(percent: int) -> None:
    """Lower the prices of what is bought in this request."""
    cptoolkit.serving.discount = percent


discount = cptoolkit.tools.discount = cptoolkit.Tool("before_handler", lower_prices)


class Storeroom(Monitor):
    """Keep the shelf full, looking after it every minute. ``take`` is its channel."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus, self.fill, frequency=60)
        self.shelf = Counter[str]()
        self.lock = Lock()  # several tills are open at once

    def start(self) -> None:
        self.fill()
        self.bus.subscribe("take", self.take)
        super().start()

    def stop(self) -> None:
        super().stop()
        self.bus.unsubscribe("take", self.take)
        self.bus.log(f"Left on the shelf: {self.shelf.total()}")

    def fill(self) -> None:
        with self.lock:
            self.shelf.update({item: SHELF - self.shelf[item] for item in PRICES})

    def take(self, item: str) -> bool:
        """Whether there was one, which is then gone."""
        with self.lock:
            there = self.shelf[item] > 0
            self.shelf[item] -= there
        return there


class Shop:
    @cptoolkit.expose
    def index(self) -> str:
        return PAGE.format(goods="\n".join(GOODS.format(*pair) for pair in PRICES.items()))

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    def card(self) -> None:
        cptoolkit.response.cookie["card"] = "yes"
        raise cptoolkit.HTTPRedirect("/")

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    @cptoolkit.tools.params()
    def checkout(self, item: list[str]) -> str:
        for name in item:
            if name not in PRICES:
                raise cptoolkit.HTTPError(400, f"We do not have {name!r}.")
        bought = [name for name in item if any(cptoolkit.engine.publish("take", name))]
        cents = sum(PRICES[name] for name in bought)
        cents -= cents * getattr(cptoolkit.serving, "discount", 0) // 100
        return f"{', '.join(bought) or 'Sold out'}: {cents} cents"

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    @cptoolkit.tools.params()
    @discount(percent=10)
    def friends(self, item: list[str]) -> str:
        return self.checkout(item)


Storeroom(cptoolkit.engine).subscribe()
app = cptoolkit.Application(Shop(), config={"/": {"request.dispatch": Tills()}})

if __name__ == "__main__":
    cptoolkit.quickstart(app)
