"""WSGI middleware around an application, from its config (reference, 6.3.1, ``wsgi``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Factory = Callable[..., Any]


class WSGIPipeline:
    """Middleware by name, outermost first, around the application's own way to serve.

    :param tail: the WSGI application in the middle.
    """

    pipeline: list[tuple[str, Factory]]
    """(name, factory) pairs: ``factory(app, **options)`` makes a WSGI application."""
    config: dict[str, dict[str, Any]]
    """Options by name, set as ``wsgi.<name>.<option>``."""

    def __init__(self, tail: WSGIApplication) -> None:
        self.tail = tail
        self.pipeline = []
        self.config = {}
        self._made: tuple[Any, WSGIApplication] | None = None
        self._lock = Lock()

    def configure(self, name: str, value: Any) -> None:
        """Take one entry of the ``wsgi`` namespace.

        :raises ValueError: if the pipeline is not a list of (name, factory) pairs, or the key
            is neither ``pipeline`` nor ``<name>.<option>``.
        """
        if name == "pipeline":
            for name, factory in _pairs(value):
                # Config that is merged again says again what is there already.
                if (name, factory) not in self.pipeline:
                    self.pipeline.append((name, factory))
            return
        component, dot, option = name.partition(".")
        if not dot:
            raise ValueError(
                f"config entry 'wsgi.{name}': expected 'wsgi.pipeline', 'wsgi.response_class' or "
                f"'wsgi.<name>.<option>'"
            )
        self.config.setdefault(component, {})[option] = value

    def compose(self) -> WSGIApplication:
        """The application with its middleware around it, made anew if any of that has changed.

        :raises ValueError: if a factory does not take its options.
        """
        with self._lock:  # made twice by two threads, a layer would lose what the one is told
            now = [*self.pipeline], {name: dict(given) for name, given in self.config.items()}
            if self._made is None or self._made[0] != now:
                self._made = now, self._make()
            return self._made[1]

    def _make(self) -> WSGIApplication:
        app: Any = self.tail
        for name, factory in reversed(self.pipeline):
            options = self.config.get(name, {})
            try:
                app = factory(app, **options)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"config entry 'wsgi.pipeline': {name!r} cannot be made with the options "
                    f"{options!r}: {error}"
                ) from error
        return app  # type: ignore[no-any-return]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request through the middleware.

        :raises ValueError: if a factory does not take its options.
        """
        return self.compose()(environ, start_response)


def _pairs(value: Any) -> list[tuple[str, Factory]]:
    pairs = list(value) if isinstance(value, Iterable) else [value]
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and callable(pair[1])):
            raise ValueError(
                "config entry 'wsgi.pipeline': expected a list of (name, factory) pairs, "
                f"got {pair!r}"
            )
    return [(name, factory) for name, factory in pairs]
