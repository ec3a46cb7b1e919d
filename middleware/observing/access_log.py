"""Write an access log: a line for each request that any application has answered."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TextIO
from weakref import finalize

from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.log_formats import Format, compile_format
from cptoolkit.middleware.observing.observer import Observer


@dataclass(kw_only=True, eq=False)
class AccessLog(Observer):
    """Write a line for each request, when the last byte of its response has gone.

    What the line says of size and time is what the host has really taken: bytes are counted as
    they are drawn. A client that left before the end shows as an ``X`` for ``{x}`` and as
    ``aborted`` in JSON; an exception is logged as a 500, and goes on to the host. Nothing that a
    client sends can end a line or begin another field.

    :raises ValueError: if ``format`` is none, or both ``logger`` and ``file`` are given.
    :raises TypeError: if ``file`` can be neither opened nor written to.
    :raises OSError: if the file cannot be opened.
    """

    format: str | Format = "combined"
    """"common" or "combined" as Apache has them, "json" for an object per line, a text with
    :data:`~cptoolkit.middleware.observing.log_formats.ATOMS` between braces, or a function that is
    given an :class:`~cptoolkit.middleware.observing.exchange.Exchange` and returns the line, or
    None for none."""

    logger: str | logging.Logger | None = None
    """The logger that gets the lines at level INFO, ``cptoolkit.access`` if none is given. One
    without a level of its own is set to INFO, or it would pass nothing on. While no handler is
    there that would get them, they go to the host's ``wsgi.errors`` (PEP 3333)."""

    file: str | os.PathLike[str] | TextIO | None = None
    """Where the lines go instead: an open stream, or the path of a file to append to. One that
    has been moved away (logrotate) is opened again under its name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._line = compile_format(self.format)
        if self.file is not None and self.logger is not None:
            raise ValueError(
                f"lines go to a logger or to a file, got logger={self.logger!r} and "
                f"file={self.file!r}"
            )
        self._log = _logger(self.logger) if self.file is None else self._logger_of_file(self.file)

    def ended(self, exchange: Exchange) -> None:
        """Write the line."""
        log = self._log
        if not exchange.answered or not log.isEnabledFor(logging.INFO):
            return
        try:
            line = self._line(exchange)
            if line is None:
                return
            if log.hasHandlers():
                # log.info() would look for the place of its caller, which is always this one.
                log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None))
            else:
                errors = exchange.environ["wsgi.errors"]
                errors.write(f"{line}\n")
                errors.flush()
        except Exception:  # the response is on its way: the log must not break it
            logging.getLogger("cptoolkit.errors").exception("the access log could not be written")

    def _logger_of_file(self, file: str | os.PathLike[str] | TextIO) -> logging.Logger:
        handler: logging.Handler
        if not isinstance(file, (str, os.PathLike)) and not hasattr(file, "write"):
            raise TypeError(f"file must be a path or an open stream, got {file!r}")
        if isinstance(file, (str, os.PathLike)):
            from logging.handlers import WatchedFileHandler  # not above: it imports sockets

            handler = WatchedFileHandler(file, encoding="utf-8", errors="backslashreplace")
            finalize(self, handler.close)
        else:
            handler = logging.StreamHandler(file)
        # Not in the tree of loggers, where others would find it and add to it.
        log = logging.Logger("cptoolkit.access", logging.INFO)
        log.addHandler(handler)
        return log


def _logger(logger: str | logging.Logger | None) -> logging.Logger:
    log = (
        logger
        if isinstance(logger, logging.Logger)
        else logging.getLogger(logger or "cptoolkit.access")
    )
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
    return log
