"""Call an application in this process, with WebTest."""

from __future__ import annotations

from typing import Any

from cptoolkit.configuration import Source
from cptoolkit.testing.servable import application_of

try:
    import webtest
except ImportError as error:
    raise ImportError("TestApp needs WebTest: pip install 'cptoolkit[testing]'") from error

from cptoolkit.testing.session import ClientSession


class TestApp(webtest.TestApp):  # type: ignore[misc]
    """A client of an application: a ``webtest.TestApp`` that knows sessions.

    Both sides of each call are checked against PEP 3333. No server, engine or plugin is started.

    :param thing: what ``cptoolkit run`` takes: a class or object with exposed handlers, an
        Application, a Tree, any WSGI application, a function that makes one of these, or the name
        of one, such as ``"shop:Root"`` or ``"shop/wsgi.py:app"``.
    :param config: for the application: a dict of sections, a path, or an open file.
    :param options: those of WebTest.
    :raises TargetError: if it cannot be served.
    :raises TypeError: if there are sections for something that is no application of ours.
    """

    def __init__(self, thing: Any, config: Source | None = None, **options: Any) -> None:
        super().__init__(application_of(thing, config), **options)

    @property
    def session(self) -> ClientSession:
        """The session that the next request will find."""
        return ClientSession(self.app, self.cookiejar, self.extra_environ)
