"""CherryPy's test case: the site is set up, started and stopped for its tests (reference, 5.13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, ClassVar, NoReturn
from unittest import SkipTest

from cptoolkit import site
from cptoolkit.process.adapter import url
from cptoolkit.testing.failures import ServerFailures, requests_in_memory
from cptoolkit.testing.site import fresh_site, served_site
from cptoolkit.testing.web_case import Errors, Fields, Page, WebCase

_ADDRESS = ("HOST", "PORT")


class CPWebCase(WebCase):
    """Tests of a site that is served for as long as the tests of the class run.

    ``setup_server``, a static or class method, mounts and configures it. Each class begins with an
    empty tree and the environment ``test_suite``, on a free port. When it is through, the engine
    has stopped, and the site is what it was before. A class without ``setup_server`` starts
    nothing and fetches from a server that runs already.

    Works under pytest and unittest alike. What fails on the server is part of the message of the
    assertion that fails for it.
    """

    PORT: int = 0
    """0 for a free port. While tests run it is the port in use, whichever was asked for here or by
    ``server.socket_port`` in ``setup_server``."""
    script_name: str = ""
    """The mount point that :meth:`getPage` puts in front of its URLs."""
    available_servers: ClassVar[Mapping[str, Any]] = {"wsgi": None}
    """Servers by name, each as ``server.instance`` takes it; None is the bundled one."""
    default_server: ClassVar[str] = "wsgi"
    """The name of the one to use."""
    do_gc_test: bool = False
    """Whether the class fails if a request is still in memory when all is over."""
    test_gc: Any = None
    """No test: here only for programs that remove it. See :attr:`do_gc_test`."""

    _running: ClassVar[ExitStack | None] = None
    _failures: ClassVar[ServerFailures]
    _set_up: ClassVar[set[Callable[..., Any]]] = set()
    _torn_down: ClassVar[set[Callable[..., Any]]] = set()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._set_up, cls._torn_down = set(), set()
        for name, done in (("setup_class", "_set_up"), ("teardown_class", "_torn_down")):
            own = vars(cls).get(name)
            if isinstance(own, classmethod):
                setattr(cls, name, classmethod(_once(own.__func__, done)))

    @classmethod
    def setUpClass(cls) -> None:
        """Start the site, by :meth:`setup_class`."""
        super().setUpClass()
        cls.setup_class()

    @classmethod
    def tearDownClass(cls) -> None:
        """Stop the site, by :meth:`teardown_class`."""
        cls.teardown_class()
        super().tearDownClass()

    @classmethod
    def setup_class(cls) -> None:
        """Set up and start the site, unless it has been started before.

        :raises KeyError: if :attr:`default_server` is not among :attr:`available_servers`.
        :raises StartFailure: if the server cannot start.
        """
        cls._torn_down.clear()
        setup_server = getattr(cls, "setup_server", None)
        if setup_server is None or cls._running is not None:
            return
        server = site.server
        with ExitStack() as running:
            running.enter_context(fresh_site())
            address = {"server.socket_host": cls.HOST, "server.socket_port": cls.PORT}
            site.config.update(address)
            vars(server).update(using_apache=False, using_wsgi=True)  # tests may ask for these
            server.instance = cls.available_servers[cls.default_server] or server.instance
            setup_server()
            cls._failures = ServerFailures()
            site.log.error_log.addHandler(cls._failures)
            running.enter_context(served_site())
            running.callback(_put_back, cls, {name: vars(cls).get(name) for name in _ADDRESS})
            cls.HOST, cls.PORT = server.socket_host or "", server.socket_port or 0
            cls._running = running.pop_all()
        cls.addClassCleanup(cls._stop)  # for classes that override what is below

    @classmethod
    def teardown_class(cls) -> None:
        """Stop the site, unless it has been stopped before.

        :raises AssertionError: if :attr:`do_gc_test` is set, and there are requests left.
        """
        cls._set_up.clear()
        cls._stop()

    @classmethod
    def _stop(cls) -> None:
        if cls._running is None:
            return
        apps = list(site.tree.apps.values())
        running, cls._running = cls._running, None
        running.close()
        if cls.do_gc_test and (left := requests_in_memory(apps)):
            raise cls.failureException(
                f"{len(left)} requests are in memory after the site has stopped: {', '.join(left)}"
            )

    def getPage(
        self,
        url: str | bytes,
        headers: Fields | None = None,
        method: str = "GET",
        body: str | bytes | None = None,
        protocol: str | None = None,
        raise_subcls: Errors | None = None,
    ) -> Page:
        """Fetch a page of the site; see :meth:`WebCase.getPage`.

        :param url: below :meth:`prefix`.
        """
        if self._running is not None:
            self._failures.forget()
        prefix = self.prefix()
        below = url if not prefix else prefix + (url if isinstance(url, str) else url.decode())
        return super().getPage(below, headers, method, body, protocol, raise_subcls)

    def port(self) -> int:
        """:attr:`PORT`; without one that of the server which runs already."""
        if self.PORT:
            return self.PORT
        address = site.server.bound_addr
        return address[1] if isinstance(address, tuple) else 0

    def prefix(self) -> str:
        """The mount point, without a slash at its end."""
        return self.script_name.rstrip("/")

    def base(self) -> str:
        """The URL of the mount point, without a slash at its end."""
        return url(self.scheme, self.interface(), self.port()) + self.prefix()

    def skip(self, msg: str = "skipped") -> NoReturn:
        """Skip the test from here on."""
        raise SkipTest(msg)

    def exit(self) -> NoReturn:
        """End the test at once, as one that has gone wrong."""
        raise SystemExit

    def fail(self, msg: Any = None) -> NoReturn:
        """Fail the test, and say what has failed on the server."""
        told = str(self._failures) if self._running is not None else ""
        super().fail(f"{msg}\n\nOn the server:\n{told}" if told else msg)


def _once(method: Callable[..., Any], done: str) -> Callable[..., Any]:
    """A class method that is not run again before the site has been stopped, or started.

    pytest calls ``setup_class`` and ``teardown_class`` by their names, and the methods by which
    unittest calls them as well.
    """

    @wraps(method)
    def called(cls: type[CPWebCase]) -> None:
        methods: set[Callable[..., Any]] = getattr(cls, done)
        if method not in methods:
            methods.add(method)
            method(cls)

    return called


def _put_back(cls: type, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        if value is None:
            delattr(cls, name)
        else:
            setattr(cls, name, value)
