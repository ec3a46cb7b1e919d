"""Answer in time, also for an application that does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any, Generic, TypeVar

from webob import Request, Response
from webob.exc import HTTPException, HTTPServiceUnavailable

from cptoolkit.middleware import bodies
from cptoolkit.middleware.layer import Layer, refused

logger = logging.getLogger("cptoolkit.timeout")

T = TypeVar("T")


@dataclass(kw_only=True, eq=False)
class Timeout(Layer):
    """Answer 503 when the application has not begun its response in time.

    The application runs in a thread of its own, with the context variables of the request. When
    the time is over it is abandoned: it runs on, but what it reads of the request body is an
    error, and what it answers is closed and thrown away. Nothing can end a thread that hangs, so
    past ``max_abandoned`` of them requests are refused at once. A body that is made while it is
    sent is made in the server's thread, and may take any time; so does a client that sends its
    request slowly while the application reads, which is for the server to end.

    :raises ValueError: if ``seconds`` or ``max_abandoned`` is not positive.
    """

    seconds: float = 30
    """Seconds that a response may take to begin."""

    max_abandoned: int = 20
    """How many abandoned requests may still be running at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seconds > 0:
            raise ValueError(f"seconds must be more than 0, got {self.seconds}")
        if self.max_abandoned < 1:
            raise ValueError(f"max_abandoned must be 1 or more, got {self.max_abandoned}")
        self._abandoned = 0
        self._lock = Lock()

    def respond(self, request: Request) -> Response:
        """Answer a request with what the application within answers, if it does so in time."""
        environ = request.environ
        # A copy, for an abandoned application may write into it at any time.
        inner = dict(environ)
        try:
            response, context = self.run(lambda: self._begin(Request(inner)), inner, _discard)
        except HTTPException as refusal:
            return refused(refusal, environ)
        inner["wsgi.input"] = environ["wsgi.input"]
        environ.clear()
        environ.update(inner)
        if type(response.app_iter) is not list:
            bodies.replace(response, _InContext(response.app_iter, context))
        return response

    def _begin(self, request: Request) -> tuple[Response, Context]:
        return self.next(request), copy_context()

    def run(
        self, work: Callable[[], T], environ: dict[str, Any], discard: Callable[[T], object]
    ) -> T:
        """The result of some work, if it comes in time.

        :param environ: of the request; its ``wsgi.input`` is replaced by one that can be closed.
        :param discard: is called with the result, in the thread of the work, if it comes late.
        :raises webob.exc.HTTPServiceUnavailable: if it does not come in time, or so many others
            have not that it is not begun.
        :raises BaseException: what the work raises.
        """
        if self._abandoned >= self.max_abandoned:
            raise HTTPServiceUnavailable("Too many requests have not been answered in time.")
        name = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')!a}"
        environ["wsgi.input"] = gate = _Gate(environ["wsgi.input"])
        task = _Task(work)

        def body() -> None:
            task.run()
            with self._lock:
                task.done.set()
                late = task.abandoned
                self._abandoned -= late
            if not late:
                return
            try:
                discard(task.result())
            except BaseException:
                logger.warning("%s has failed, too late to answer", name, exc_info=True)

        # A daemon, so that one that hangs does not keep the process from ending.
        context = copy_context()
        Thread(target=context.run, args=(body,), name=name, daemon=True).start()
        if not task.done.wait(self.seconds):
            with self._lock:
                task.abandoned = not task.done.is_set()
                self._abandoned += task.abandoned
            if task.abandoned:
                gate.close()
                logger.warning("%s has taken more than %g s, and is abandoned", name, self.seconds)
                raise HTTPServiceUnavailable("The response has taken too long.")
        return task.result()


class _Task(Generic[T]):
    """Some work, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.done = Event()
        self.abandoned = False

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else error and traceback would hold one another
        return self._results[0]


def _discard(late: tuple[Response, Context]) -> None:
    bodies.close(late[0].app_iter)


class _Gate:
    """The request body, until it is closed. A read in progress is waited for: the server will
    read from the same connection next."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = Lock()
        self._open = True

    def close(self) -> None:
        with self._lock:
            self._open = False

    def _call(self, method: str, *sizes: int) -> Any:
        with self._lock:
            if not self._open:
                raise OSError("the request has been answered already: it took too long")
            return getattr(self._stream, method)(*sizes)

    def read(self, *sizes: int) -> bytes:
        data: bytes = self._call("read", *sizes)
        return data

    def readline(self, *sizes: int) -> bytes:
        line: bytes = self._call("readline", *sizes)
        return line

    def readlines(self, *sizes: int) -> list[bytes]:
        lines: list[bytes] = self._call("readlines", *sizes)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class _InContext:
    """A body that is drawn and closed with the context variables that it was made with."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._context = context

    def __iter__(self) -> Iterator[bytes]:
        self._iterator = self._context.run(iter, self._body)
        return self

    def __next__(self) -> bytes:
        assert self._iterator is not None
        return self._context.run(next, self._iterator)

    def close(self) -> None:
        body, self._body = self._body, ()
        self._context.run(bodies.close, body)
