"""Mistakes that type checkers have to see; never run.

Each line has the comments that let it pass. A mistake that mypy or pyright no longer sees makes its
comment an unused one, which is an error.
"""

from __future__ import annotations

from functools import partial

from pipelines import Foreign, Mine, app
from shop.layers import robots
from shop.pages import Archive, Root
from shop.plugins import note_request
from shop.tools import age, shop

import cptoolkit
import cptoolkit as cherrypy
from cptoolkit import Pipeline, Tool, tools, use
from cptoolkit.middleware import Accept, BasicAuth, Gzip, Sessions

REALM = "staff"

# Options of layers.
use(Mine, leter="b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Mine, letter=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
use(Mine, at="/mine", leter="b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Foreign, rot="/srv")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Foreign, at="/static", rot="/srv")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Foreign)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Sessions, timeut=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(Sessions, timeout="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
use(Sessions, locking="late")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
use(Sessions, storage_pth="/srv")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
use(BasicAuth, realm=REALM)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Mine(app, leter="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Sessions(app, timeut=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Pipeline(Accept)(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Pipeline(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Options of tools, which are those of their layers and functions.
tools.sessions(timeut=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
tools.sessions(timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.sessions(priority="late")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.gzip(True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.gzip(compress_levl=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
tools.auth_basic(realm=REALM)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
tools.json_in(forced=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
tools.staticdir(dir=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.accept("text/html")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.flatten(deep=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
cherrypy.tools.json_out(content_tipe="a/b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
robots(indx=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
age(second=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
age()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
shop.closed(txt="")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@tools.accept  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def without_parentheses() -> str:
    return ""


# Names that do not exist.
gone = tools.sesions  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
gone = shop.opened  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
gone = cptoolkit.quikstart  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
gone = cptoolkit.request.foo  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
gone = cptoolkit.response.foo  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
gone = cptoolkit.session.foo  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
cptoolkit.request.user = "Ann"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

# Hook points.
Tool("before_handlr", note_request)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
hooks = cptoolkit.request.hooks
hooks.attach("before_handlr", note_request)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tools.register("before_handlr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Tool("before_handler", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Values of settings.
cptoolkit.quickstart(Root(), "/", ["config"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.tree.mount(Root(), "/", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.Application(Root(), config=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.config.update(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.server.socket_port = "80"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
cptoolkit.request.show_tracebacks = "never"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
cptoolkit.HTTPError("404 Not Found", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.HTTPRedirect(404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cptoolkit.url(["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# What is decorated keeps its type.
Root().index(nam="Ann")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Root().add(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Root.login(back=3)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
Archive().indx()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
length: int = Root().index()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
partial(Gzip, level=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
