"""What every layer is: one class that is WSGI middleware and a config tool alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from webob import Request, Response
from webob.exc import HTTPException

from cptoolkit.middleware import fields
from cptoolkit.middleware.bodies import Closing, close, when_closed
from cptoolkit.middleware.nearest import did_you_mean

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Self


@dataclass(kw_only=True, eq=False)
class Layer:
    """Something that is done to every request, or every response, of the application within.

    A subclass is a dataclass whose fields are its options, and overrides any of :meth:`before`,
    :meth:`after` and :meth:`finish`. Nothing of a request is kept on ``self``, which all threads
    share: what must travel goes into ``request.environ``.

    As a tool, a layer may meet a request with :meth:`after` or :meth:`finish` alone, where an
    earlier hook has refused it before :meth:`before` had its turn; and with :meth:`after` once
    more, where a later one has refused the first response.

    :param app: the WSGI application within; None for a layer that is used as a tool.
    :raises TypeError: if there is no such option; names the nearest one.
    """

    app: WSGIApplication | None = field(default=None, kw_only=False)

    def __new__(cls, *args: Any, **options: Any) -> Self:
        known = cls.option_names()
        for name in options:
            if name not in known and name != "app":
                near = did_you_mean(name, known)
                raise TypeError(f"{cls.__name__} has no option {name!r}{near}")
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__post_init__" in vars(cls):
            cls.__post_init__ = _naming_options(cls.__post_init__)  # type: ignore[method-assign]

    whole_bodies: ClassVar[bool] = False
    """Whether, inside an Application, a body comes to :meth:`after` as a list, unless it is
    streamed or has said its length. Around a foreign application it comes as that has made it."""

    def __post_init__(self) -> None:
        app = self.app
        self.next: Callable[[Request], Response]
        """Hand a request to the application within, and get its response."""
        if isinstance(app, Layer):
            self.next = app.respond
        elif app is None:
            self.next = self._refuse_to_serve
        else:
            self.next = asking(app)
        kind = type(self)
        self._begins = kind.before is not Layer.before
        self._finishes = kind.finish is not Layer.finish
        # Such a layer does not look at responses, so that none has to be made for it.
        self._only_begins = (
            self._begins
            and not self._finishes
            and kind.after is Layer.after
            and kind.respond is Layer.respond
            and app is not None
        )

    def before(self, request: Request) -> Response | None:
        """Look at a request on its way in.

        :returns: a response to answer with at once, or None to go on.
        :raises webob.exc.HTTPException: to refuse the request.
        """
        return None

    def after(self, request: Request, response: Response) -> Response | None:
        """Look at a response on its way out.

        :returns: another response in its place, or None to keep it, changed or not. The other
            one has to see to it that the body of the first is closed.
        :raises webob.exc.HTTPException: to answer with that instead.
        """
        return None

    def finish(self, request: Request, response: Response | None) -> None:
        """Release what is held: the last byte has gone, or the client has, or all has failed.

        :param response: what was being sent; None if it did not come to that.
        """

    def respond(self, request: Request) -> Response:
        """Answer a request: :meth:`before`, the application within, :meth:`after`."""
        try:
            try:
                answer = self.before(request) if self._begins else None
                response = self.next(request) if answer is None else answer
            except HTTPException as refusal:
                response = refused(refusal, request.environ)
            try:
                answer = self.after(request, response)
                if answer is not None:
                    response = answer
            except BaseException as error:
                close(response.app_iter)
                if not isinstance(error, HTTPException):
                    raise
                response = refused(error, request.environ)
        except BaseException:
            if self._finishes:
                self.finish(request, None)
            raise
        if self._finishes:
            when_closed(response, request.environ, lambda: self.finish(request, response))
        return response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        request = _new(Request)  # webob's constructor looks for what no host does wrong
        request.__dict__["environ"] = environ
        if self._only_begins:
            try:
                answer = self.before(request)
            except HTTPException as refusal:
                answer = refused(refusal, environ)
            if answer is None:
                served: WSGIApplication = self.app  # type: ignore[assignment]
                return served(environ, start_response)
            response = answer
        else:
            response = self.respond(request)
        if isinstance(response, Answer):  # webob's properties of it would look there, too
            status, headers, body = response._status, response._headerlist, response._app_iter
        else:
            status, headers, body = response.status, response.headerlist, response.app_iter
        try:
            start_response(status, headers)
        except BaseException:
            close(body)
            raise
        if environ["REQUEST_METHOD"] == "HEAD":
            return Closing((), lambda: close(body))
        return body

    def _refuse_to_serve(self, request: Request) -> Response:
        raise TypeError(f"{type(self).__name__} has no application to hand the request to")

    @classmethod
    def filter_app_factory(
        cls, app: WSGIApplication, global_conf: dict[str, str], **options: str
    ) -> Self:
        """Make the layer from the text of an INI file, as Paste Deploy does.

        :param global_conf: the defaults of the file, which a layer does not look at.
        :raises TypeError: if there is no such option.
        :raises ValueError: if the layer refuses its value.
        """
        from cptoolkit.middleware.paste import option_from_text  # not above: few need it

        return cls(app, **{name: option_from_text(cls, name, options[name]) for name in options})

    @classmethod
    def option_names(cls) -> list[str]:
        """The names of the options, as they stand in config and in the constructor."""
        return [f.name for f in dataclass_fields(cls) if f.init and f.name != "app"]


def _naming_options(check: Callable[[Any], None]) -> Any:
    """What a layer does with its options; an error that wrong types lead to names the option."""

    @wraps(check)
    def named(layer: Layer) -> None:
        try:
            check(layer)
        except (AttributeError, TypeError) as error:
            from cptoolkit.middleware.option_types import misfit  # not above: few have one

            found = misfit(layer)
            if found is None or found[0] in str(error):
                raise
            raise TypeError(found[1]) from error

    return named


def asking(app: WSGIApplication) -> Callable[[Request], Response]:
    """What hands a request to a WSGI application, and gets its response, still unread.

    An application that calls ``start_response`` no sooner than when its body is drawn stays a
    stream: only what it gives until then is drawn.
    """

    def ask(request: Request) -> Response:
        answer = _new(_Awaited)  # there is nothing to construct it from yet
        body = app(request.environ, answer.start)
        if not answer._status or answer._written is not None:
            body = answer.drawn(body)
        answer._headerlist = list(answer._headerlist)
        answer._app_iter = body
        answer._taken = True
        return answer

    return ask


def call(app: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """The response of a WSGI application, still unread; see :func:`asking`."""
    request = _new(Request)
    request.__dict__["environ"] = environ
    return asking(app)(request)


_new = object.__new__
"""Makes an object whose attributes are then set from outside, which takes half as long."""


class Answer(Response):
    """The response of a WSGI application, made without what webob would add to it."""

    conditional_response = False
    _headers = None

    def __init__(self, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        self._status = status
        self._headerlist = headers
        self._app_iter = body


class _Awaited(Answer):
    """An answer that takes from the application what it is made of: one object, and not two."""

    _status = ""  # until the application says it
    _taken = False
    """Whether the header fields are on their way."""
    _written: list[bytes] | None = None
    """What has been sent by ``write``."""

    def drawn(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """The body of which as much has been drawn as it takes to have a status."""
        items = iter(body)
        first: list[bytes] = []
        try:
            while not self._status:
                first.append(next(items))
        except BaseException as error:
            close(body)
            if isinstance(error, StopIteration):
                raise AssertionError("the application has not called start_response") from None
            raise
        return Closing(chain(self._written or (), first, items), lambda: close(body))

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """The ``start_response`` for the application (PEP 3333)."""
        if self._status:
            if exc_info is None:
                raise AssertionError("start_response was called twice without exc_info")
            if self._taken:  # then an error goes up
                raise exc_info[1].with_traceback(exc_info[2])
        self._status, self._headerlist = status, headers
        return self._write

    def _write(self, block: bytes) -> None:
        if self._written is None:
            self._written = []
        self._written.append(block)


_SAFE_LOCATION = re.compile(r"(?!//)[^\\\x00-\x20\x7f]+")
"""A location that browsers take for what it says; webob makes others of this host's."""


def refused(refusal: HTTPException, environ: WSGIEnvironment) -> Response:
    """The response that an HTTP exception stands for, in the form that the client takes best.

    To HEAD it is that to GET, whose body is left out where it goes to the host.
    A relative ``Location`` stays so: webob would put the Host in front of it, which a client may
    have made up (RFC 9110, section 10.2.2, takes relative ones).
    """
    if environ["REQUEST_METHOD"] == "HEAD":  # to which webob gives other fields than to GET
        environ = {**environ, "REQUEST_METHOD": "GET"}
    location = fields.get(refusal.wsgi_response.headerlist, "location")
    response = call(refusal, environ)
    if location is not None and _SAFE_LOCATION.fullmatch(location):
        fields.put(response.headerlist, "Location", location)
    return response
