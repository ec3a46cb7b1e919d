"""7.1: publishing, subscribing and plugins, by programs like those of the reference."""

import pytest

SHOP = """
from cptoolkit.process import plugins

class Database:
    saved = []

    def save(self, entity):
        self.saved.append(entity)

class Cart:
    def __init__(self, data):
        self.data = data

class Shop:
    @cherrypy.expose
    def seen(self):
        return " ".join(cart.data for cart in Database.saved)
"""

HOLDING_THE_DATABASE = """
class ECommerce(Shop):
    def __init__(self, db):
        self.mydb = db

    @cherrypy.expose
    def save_kart(self, cart_data):
        self.mydb.save(Cart(cart_data))

cherrypy.quickstart(ECommerce(Database()), "/")
"""

PUBLISHING = """
class ECommerce(Shop):
    @cherrypy.expose
    def save_kart(self, cart_data):
        cherrypy.engine.publish("db-save", Cart(cart_data))

class DatabasePlugin(plugins.SimplePlugin):
    def __init__(self, bus, db_class):
        plugins.SimplePlugin.__init__(self, bus)
        self.db = db_class()

    def start(self):
        self.bus.log("Starting up DB access")
        self.bus.subscribe("db-save", self.save_it)

    def stop(self):
        self.bus.log("Stopping down DB access")
        self.bus.unsubscribe("db-save", self.save_it)

    def save_it(self, entity):
        self.db.save(entity)

plugin = DatabasePlugin(cherrypy.engine, Database)
plugin.subscribe()
{more}
cherrypy.quickstart(ECommerce(), "/")
"""

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "source", [HOLDING_THE_DATABASE, PUBLISHING.format(more="")], ids=["held", "published to"]
)
def test_cart_is_saved(script, source):
    """7.1.1: with the database in hand, and by a channel that its plugin listens on."""
    program = script(SHOP + source).serving()
    answer = program.get("/save_kart", "POST", "cart_data=abc", **FORM)
    assert (answer.status, answer.text) == (200, "")
    assert program.get("/seen").text == "abc"
    missing = program.get("/save_kart")
    assert missing.status == 404
    assert "Missing parameters: cart_data" in missing.text


def test_plugin_starts_and_stops_with_the_bus(script):
    """7.1.2."""
    program = script(SHOP + PUBLISHING.format(more="")).serving()
    assert program.stop() == 0
    log = [line.partition("] ENGINE ")[2] for line in program.rest()]
    lines = [
        "Bus STARTING",
        "Starting up DB access",
        "Bus STARTED",
        "Bus STOPPING",
        "Stopping down DB access",
        "Bus STOPPED",
        "Bus EXITING",
        "Bus EXITED",
    ]
    assert [line for line in log if line in lines] == lines


def test_plugin_can_be_unsubscribed(script):
    """7.1.2: its start and stop are not called."""
    program = script(SHOP + PUBLISHING.format(more="plugin.unsubscribe()")).serving()
    program.get("/save_kart", "POST", "cart_data=abc", **FORM)
    assert program.get("/seen").text == ""
    program.stop()
    assert not any("DB access" in line for line in program.rest())


HELLO = """
class Root:
    @cherrypy.expose
    def index(self):
        return "hello world"

if __name__ == "__main__":
    {before}
    cherrypy.quickstart(Root())
"""


def test_default_application_says_what_it_does(script):
    """7.1.2, and its log."""
    program = script(HELLO.format(before="")).serving()
    assert program.get("/").text == "hello world"
    log = [line.partition("] ENGINE ")[2] for line in program.output if "ENGINE" in line]
    assert sorted(log[:3]) == [f"Listening for SIG{name}." for name in ("HUP", "TERM", "USR1")]
    assert log[3] == "Bus STARTING"
    assert set(log[4:6]) == {
        "Started monitor thread 'Autoreloader'.",
        "Started monitor thread '_TimeoutMonitor'.",
    }
    assert log[6:] == [f"Serving on http://127.0.0.1:{program.port}", "Bus STARTED"]


def test_without_its_server_the_bus_runs_all_the_same(script, free_port):
    """7.1.2: that line of the log is the one that is missing, and nobody listens."""
    settings = f"cherrypy.config.update({{'server.socket_port': {free_port}}})"
    program = script(HELLO.format(before=settings + "; cherrypy.server.unsubscribe()"))
    program.wait_for("ENGINE Bus STARTED")
    with pytest.raises(ConnectionRefusedError):
        program.get("/", port=free_port)
    assert program.stop() == 0
    assert not any("Serving on" in line for line in program.rest())


CHANNELS = """
told = []

class Root:
    @cherrypy.expose
    def index(self):
        return "hello"

def teller(channel):
    return lambda *args: told.append(channel)

for channel in ("start", "stop", "graceful", "exit", "before_request", "after_request",
                "acquire_thread", "start_thread", "stop_thread"):
    cherrypy.engine.subscribe(channel, teller(channel))

def once():
    told.append("main")
    cherrypy.engine.unsubscribe("main", once)
    cherrypy.engine.graceful()
    print("ONCE", flush=True)

cherrypy.engine.subscribe("main", once)

class Lasting:
    def exit(self):
        print("TOLD", " ".join(told), flush=True)
    exit.priority = 99

cherrypy.engine.subscribe("exit", Lasting().exit)
cherrypy.quickstart(Root())
"""


def test_built_in_channels_are_published_to_in_their_time(script):
    """7.1.1."""
    program = script(CHANNELS).serving()
    program.wait_for("ONCE")
    assert program.get("/").text == "hello"
    program.stop()
    told = program.wait_for("TOLD").split()[1:]
    assert told[0] == "start"
    assert told[1:3] == ["main", "graceful"]
    request = [told.index(name) for name in ("start_thread", "before_request", "after_request")]
    assert request == sorted(request)
    assert "acquire_thread" in told
    assert told.index("after_request") < told.index("stop")
    assert told.index("stop_thread") < told.index("exit")
    assert told[-1] == "exit"


STATES = """
engine = cherrypy.engine
states = [engine.state.name]
for channel in ("start", "stop", "exit"):
    engine.subscribe(channel, lambda: states.append(engine.state.name), 99)
engine.start()
states.append(engine.state.name)
engine.stop()
states.append(engine.state.name)
engine.exit()
print("STATES", " ".join(states))
"""


def test_bus_goes_through_the_states_of_the_picture(script):
    """7.1.1: what its diagram shows."""
    program = script(STATES)
    told = "STATES STOPPED STARTING STARTED STOPPING STOPPED STOPPING EXITING"
    assert program.wait_for("STATES") == told
