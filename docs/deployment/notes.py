"""Notes that people write down for all to read: the application of this deployment.

``python notes.py NAME`` lets a user in, whose password it asks for.
"""

import os
import sys
from getpass import getpass
from html import escape

from redis import Redis, RedisError
from werkzeug.security import check_password_hash, generate_password_hash

import cptoolkit
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware import RateLimit
from cptoolkit.middleware.rate_limit import by_address

VERSION = "1"
URL = os.environ.get("NOTES_URL", "http://127.0.0.1:8080")
PROXY = os.environ.get("NOTES_PROXY", "127.0.0.1")
REDIS = os.environ.get("NOTES_REDIS", "redis://127.0.0.1:6379/0")
LOG = os.environ.get("NOTES_LOG", "")

store = Redis.from_url(REDIS, decode_responses=True, socket_timeout=3)

NOBODY = generate_password_hash("")  # so that unknown names take as long as wrong passwords


def check(name, password):
    """Say what is wrong with a login; nothing if it is right."""
    known = store.hget("notes:passwords", name)
    right = check_password_hash(known or NOBODY, password)
    return None if known and right else "Wrong name or password."


def remember_address(name):
    cptoolkit.session["address"] = cptoolkit.request.remote.ip


def logins_by_address(request):
    """Whose attempt to log in a request is; None if it is something else."""
    return by_address(request) if request.path_info.endswith("/do_login") else None


def page(title, text, notes):
    items = "\n".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<title>{title}</title>\n'
        f'<link rel="stylesheet" href="/static/notes.css?{VERSION}">\n'
        f'<link rel="canonical" href="{cptoolkit.url()}">\n'
        f"<h1>{title}</h1>\n{text}\n<ul>\n{items}\n</ul>\n"
    )


class Mine:
    """What belongs to a user. The login form comes with ``tools.session_auth``."""

    @cptoolkit.expose
    def index(self):
        name = cptoolkit.request.login
        text = (
            f"<p>You are {escape(name)}, logged in from {cptoolkit.session['address']}.</p>\n"
            '<form method="post" action="add"><input name="text" maxlength="500" required>'
            "<button>Write</button></form>\n"
            '<form method="post" action="do_logout"><button>Log out</button></form>'
        )
        return page("My notes", text, store.lrange(f"notes:of:{name}", 0, -1))

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods=["POST"])
    def add(self, text):
        """Answer once Redis has stored the note, and never before."""
        if not isinstance(text, str):  # a form may have a field twice, or a file in it
            raise cptoolkit.HTTPError(400, "Send one text.")
        with store.pipeline() as both:  # a transaction
            both.rpush(f"notes:of:{cptoolkit.request.login}", text[:500])
            both.lpush("notes:newest", text[:500])
            both.ltrim("notes:newest", 0, 19)
            both.execute()
        raise cptoolkit.HTTPRedirect("/mine/")


class Notes:
    mine = Mine()

    @cptoolkit.expose
    def index(self):
        newest = store.lrange("notes:newest", 0, -1)
        return page("Notes", '<p><a href="/mine/">My notes</a></p>', newest)

    @cptoolkit.expose
    def health(self):
        """Which version runs here, if it can do its work."""
        try:
            store.ping()
        except RedisError as error:
            raise cptoolkit.HTTPError(503, "Redis is away.") from error
        cptoolkit.response.headers["Content-Type"] = "text/plain"
        return VERSION


cptoolkit.tools.login_limit = LayerTool("before_request_body", RateLimit, priority=40)

cptoolkit.config.update({"environment": "production", "log.error_file": LOG, "log.screen": not LOG})

# Here no terminal is closed: SIGHUP brings new code, and no connection is refused meanwhile.
cptoolkit.engine.signals.handlers["SIGHUP"] = cptoolkit.engine.restart

app = cptoolkit.tree.mount(
    Notes(),
    "",
    {
        "/": {
            "tools.proxy.on": True,
            "tools.proxy.base": URL,
            "tools.proxy.trusted": PROXY,
            "tools.proxy.local": "",  # the base says it
            "tools.proxy.scheme": "",
            "tools.rate_limit.on": True,
            "tools.rate_limit.limit": "6000/minute",
            "tools.rate_limit.store": REDIS,
            "tools.caching.on": True,
            "tools.caching.delay": 60,
            "tools.caching.store": REDIS,
        },
        "/health": {"tools.caching.on": False},
        "/mine": {
            "tools.caching.on": False,
            "tools.login_limit.on": True,
            "tools.login_limit.name": "login",
            "tools.login_limit.limit": "10/minute",
            "tools.login_limit.key": logins_by_address,
            "tools.login_limit.store": REDIS,
            "tools.sessions.on": True,
            "tools.sessions.storage_type": "redis",
            "tools.sessions.url": REDIS,
            "tools.sessions.timeout": 24 * 60,
            # No request waits for a lock whose holder has died.
            "tools.sessions.locking": "optimistic",
            "tools.sessions.lock_lease": 5,
            "tools.session_auth.on": True,
            "tools.session_auth.check_username_and_password": check,
            "tools.session_auth.on_login": remember_address,
        },
    },
)

if __name__ == "__main__":
    name = sys.argv[1]
    store.hset("notes:passwords", name, generate_password_hash(getpass(f"Password of {name}: ")))
