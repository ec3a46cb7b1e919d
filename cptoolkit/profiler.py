"""Profile pages and look at the outcome in a browser: CherryPy's ``lib.profiler``."""

from __future__ import annotations

import os
import pstats
import threading
from collections.abc import Callable, Iterable, Iterator
from cProfile import Profile
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from cptoolkit import site
from cptoolkit.decorators import expose
from cptoolkit.http.errors import NotFound
from cptoolkit.middleware.bodies import close

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

PREFIX, SUFFIX = "cp_", ".prof"
"""What the names of the files begin with and end in, around a number."""

ORDERS = frozenset(pstats.Stats.sort_arg_dict_default)
"""What statistics can be sorted by."""

_one_at_a_time = threading.Lock()  # Python 3.12 refuses a second profile beside the first
_naming = threading.Lock()


class Profiler:
    """Profiles calls, each into a file of its own, and shows the files as pages.

    One call is profiled at a time; others that come meanwhile run without.

    :param path: the folder of the files, made if there is none.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath("profile" if path is None else path)
        os.makedirs(self.path, exist_ok=True)

    def run(self, func: Callable[..., T], *args: Any, **params: Any) -> T:
        """Call a function, and write down where its time went."""
        return self._profiled(Profile(), self._new_path(), func, *args, **params)

    def _profiled(
        self, profile: Profile, path: str, func: Callable[..., T], *args: Any, **params: Any
    ) -> T:
        if not _one_at_a_time.acquire(blocking=False):
            return func(*args, **params)
        try:
            outcome = profile.runcall(func, *args, **params)
            profile.dump_stats(path)
        finally:
            _one_at_a_time.release()
        return outcome

    def _new_path(self) -> str:
        with _naming:
            numbers = [int(name[len(PREFIX) : -len(SUFFIX)]) for name in self.statfiles()]
            path = os.path.join(self.path, f"{PREFIX}{max(numbers, default=0) + 1:04d}{SUFFIX}")
            open(path, "xb").close()  # the name is taken
        return path

    def statfiles(self) -> list[str]:
        """The names of the files, in the order of their making."""
        names = [name for name in os.listdir(self.path) if _is_ours(name)]
        return sorted(names, key=lambda name: (len(name), name))

    def stats(self, filename: str, sortby: str = "cumulative") -> str:
        """The statistics in a file as text.

        :param sortby: as for :meth:`pstats.Stats.sort_stats`.
        :raises FileNotFoundError: if there is no such file, or nothing in it yet.
        """
        path = os.path.join(self.path, filename)
        if filename not in self.statfiles() or not os.path.getsize(path):
            raise FileNotFoundError(f"there is no profile {filename!r} in {self.path}")
        text = StringIO()
        pstats.Stats(path, stream=text).strip_dirs().sort_stats(sortby).print_stats()
        return text.getvalue()

    @expose
    def index(self) -> str:
        """The page with the list of files."""
        return f"<!DOCTYPE html><title>Profiles</title><h1>Profiles</h1>{self.menu()}"

    @expose
    def menu(self) -> str:
        """The list of files as HTML."""
        names = self.statfiles()
        rows = (f'<li><a href="report?filename={quote(n)}">{escape(n)}</a></li>' for n in names)
        return f"<ul>{''.join(rows)}</ul>" if names else "<p>Nothing has been profiled yet.</p>"

    @expose
    def report(self, filename: str, sortby: str = "cumulative") -> str:
        """The page of one file.

        :raises cptoolkit.NotFound: if there is no such file or order.
        """
        if sortby not in ORDERS:
            raise NotFound()
        try:
            text = self.stats(filename, sortby)
        except FileNotFoundError:
            raise NotFound() from None
        return f"<!DOCTYPE html><title>{escape(filename)}</title><pre>{escape(text)}</pre>"


class ProfileAggregator(Profiler):
    """Profiles calls, all into one file."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(path)
        self._profile = Profile()
        self._file = ""

    def run(self, func: Callable[..., T], *args: Any, **params: Any) -> T:
        """Call a function, and add where its time went to what is known."""
        self._file = self._file or self._new_path()
        return self._profiled(self._profile, self._file, func, *args, **params)


class make_app:
    """WSGI middleware that profiles each request, body included, which it collects for that.

    :param nextapp: the application within.
    :param path: the folder of the files.
    :param aggregate: whether all go into one file.
    """

    def __init__(
        self,
        nextapp: WSGIApplication,
        path: str | os.PathLike[str] | None = None,
        aggregate: bool = False,
    ) -> None:
        self.nextapp = nextapp
        self.profiler = ProfileAggregator(path) if aggregate else Profiler(path)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def gather() -> list[bytes]:
            return list(_closing(self.nextapp(environ, start_response)))

        return self.profiler.run(gather)


def serve(path: str | os.PathLike[str] | None = None, port: int = 8080) -> None:
    """Show the profiles in a folder, to this machine alone, until the process is told to stop."""
    site.config.update({"server.socket_host": "127.0.0.1", "server.socket_port": port})
    site.quickstart(Profiler(path))


def _is_ours(name: str) -> bool:
    number = name.removeprefix(PREFIX).removesuffix(SUFFIX)
    return name == f"{PREFIX}{number}{SUFFIX}" and number.isascii() and number.isdigit()


def _closing(body: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from body
    finally:
        close(body)
