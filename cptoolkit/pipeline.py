"""WSGI middleware of any kind, put together in the order in which a request meets it.

::

    app = Pipeline(
        use(Proxy, hops=1),
        use(Sessions, name="sid"),
        use(BasicAuth, at="/admin", realm="staff", checkpassword=check),
        use(WhiteNoise, root="/srv/static"),
    )(app)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from textwrap import indent
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, overload

from cptoolkit.middleware.at import At, check_prefix
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.nearest import did_you_mean

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

P = ParamSpec("P")


class Use:
    """One middleware of a pipeline: what makes it, with which options, and for which URLs.

    Made by :func:`use`. It is itself a middleware: called with an application it gives that
    application with the middleware around it.
    """

    def __init__(
        self, factory: Callable[..., Any], args: tuple[Any, ...], at: str, options: dict[str, Any]
    ) -> None:
        self.factory = factory
        """Called as ``factory(app, *args, **options)``."""
        self.args = args
        self.options = options
        self.at = at
        """The URL prefix that the middleware is for; "/" for all."""
        try:
            check_prefix(at)
            _check_call(factory, args, options)
        except (TypeError, ValueError) as error:
            raise _told(self, error) from None

    def __call__(self, app: WSGIApplication) -> WSGIApplication:
        """Put the middleware around an application.

        :raises TypeError: if the middleware refuses its options, or is no application then.
        :raises ValueError: if it refuses the value of one.
        """
        try:
            made: Any = self.factory(app, *self.args, **self.options)
        except (TypeError, ValueError) as error:
            raise _told(self, error) from error
        if not callable(made):
            raise TypeError(f"{self!r}: expected a WSGI application to come of it, got {made!r}")
        if self.at == "/":
            return made  # type: ignore[no-any-return]
        return At(app, prefix=self.at, below=made)  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        at = [] if self.at == "/" else [f"at={self.at!r}"]
        options = [f"{name}={_name(value)}" for name, value in self.options.items()]
        words = [_name(self.factory), *map(_name, self.args), *at, *options]
        return f"use({', '.join(words)})"


@overload
def use(
    factory: Callable[Concatenate[Any, P], Any], /, *args: P.args, **options: P.kwargs
) -> Use: ...
@overload
def use(
    factory: Callable[Concatenate[Any, P], Any], /, at: str, *args: P.args, **options: P.kwargs
) -> Use: ...
def use(factory: Callable[..., Any], /, *args: Any, **options: Any) -> Use:
    """Say that a pipeline has a middleware, and with which options.

    :param factory: a layer, or anything else that is called with an application and the options,
        and gives a WSGI application.
    :param at: the path at and below which the middleware is there; "/", all of them, if not
        given. Always given by name: positional arguments are the factory's.
    :param options: of the middleware.
    :raises TypeError: if it has no such option, or lacks one that it must have; names the nearest.
    :raises ValueError: if ``at`` is no path that begins with a slash.
    """
    at = options.pop("at", "/")
    return Use(factory, args, at, options)


class Pipeline:
    """Middleware around an application, outermost first.

    :param parts: what :func:`use` gives, other pipelines, or functions that take a WSGI
        application and give one.
    :raises TypeError: if one of them is none of these.
    """

    def __init__(self, *parts: Use | Pipeline | Callable[[Any], Any]) -> None:
        for part in parts:
            if isinstance(part, type) and issubclass(part, Layer):
                raise TypeError(f"expected use({part.__name__}, ...), got the class itself")
            _refuse_made(part)
            if not callable(part):
                raise TypeError(
                    f"a pipeline is made of use(...), pipelines and functions, got {part!r}"
                )
        self.parts = parts

    def __call__(self, app: WSGIApplication) -> WSGIApplication:
        """The application with all of the middleware around it.

        :raises TypeError: if it is none, or a middleware refuses its options.
        :raises ValueError: if a middleware refuses the value of an option.
        """
        if not callable(app):
            raise TypeError(f"a pipeline goes around a WSGI application, got {app!r}")
        for part in reversed(self.parts):
            app = part(app)
        return app

    def __iter__(self) -> Iterator[Use | Callable[[Any], Any]]:
        """The middleware, outermost first, that of pipelines within in their place."""
        for part in self.parts:
            if isinstance(part, Pipeline):
                yield from part
            else:
                yield part

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        words = [_name(part) for part in self.parts]
        line = f"Pipeline({', '.join(words)})"
        if len(line) <= 88:
            return line
        lines = indent("".join(f"{word},\n" for word in words), "    ")
        return f"Pipeline(\n{lines})"


def _refuse_made(part: object) -> None:
    """See that a layer has not been made yet.

    :raises TypeError: if it has.
    """
    if isinstance(part, Layer):
        name = type(part).__name__
        raise TypeError(f"expected use({name}, ...), got a {name} that has been made already")


def _check_call(
    factory: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """See that a factory can be called with an application and these options.

    :raises TypeError: if not.
    """
    _refuse_made(factory)
    if not callable(factory):
        raise TypeError(f"expected a class or function to make a middleware of, got {factory!r}")
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return  # some that are written in C do not tell
    try:
        signature.bind(None, *args, **options)
    except TypeError as error:
        known = [p.name for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
        for name in options:
            if name not in known:
                near = did_you_mean(name, known[1:])
                raise TypeError(f"{_name(factory)} has no option {name!r}{near}") from None
        raise TypeError(f"{_name(factory)} cannot be made so: {error}") from None


def _told(part: Use, error: TypeError | ValueError) -> TypeError | ValueError:
    """An error that tells which middleware it is about."""
    # Not type(error): some, such as UnicodeDecodeError, are made of more than a text.
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{part!r}: {error}")


def _name(value: object) -> str:
    """A value as it stands in code: classes and functions by their names."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return str(getattr(value, "__name__", repr(value)))
    return repr(value)
