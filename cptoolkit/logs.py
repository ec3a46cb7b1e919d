"""Write the access log and the error log of a site and of its applications.

Both are loggers of the :mod:`logging` module, ``cherrypy.access`` and ``cherrypy.error``, with
``.<appid>`` added for an application's own, so that handlers, levels and ``dictConfig`` work on
them as on any other (reference, chapter 4.3).

Nothing that a client sends can forge a line or reach the terminal as a control sequence: in the
access log every field is escaped, in the error log every record of the two loggers is.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
from typing import IO, Any, ClassVar

from cptoolkit.context import current
from cptoolkit.log_lines import access_line, atoms_of, escape_text, timestamp

logfmt = logging.Formatter("%(message)s")
"""Writes lines as they are, since they carry their own time stamp: for handlers of your own."""


class _Escape(logging.Filter):
    """Escapes the message and the traceback of each record of a logger, for all its handlers."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit: the handlers report that
            return True
        safe = escape_text(message)
        if safe != message:
            record.msg, record.args = safe, ()
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            # A formatter that finds this text adds it instead of one of its own making.
            record.exc_text = escape_text(logfmt.formatException(record.exc_info))
        return True


# Handlers


class ScreenHandler(logging.StreamHandler):  # type: ignore[type-arg]  # only from 3.11 on
    """Writes to what is ``sys.stdout`` or ``sys.stderr`` at that time."""

    kind: ClassVar[str] = "screen"

    def __init__(self, stream_name: str) -> None:
        self._stream_name = stream_name
        logging.Handler.__init__(self)  # that of StreamHandler would set the stream

    @property
    def stream(self) -> IO[str] | None:
        """The stream, or None in a process that has none, such as under pythonw."""
        return getattr(sys, self._stream_name, None)

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None:
            super().emit(record)


class LogFile(logging.FileHandler):
    """Appends to a file."""

    kind: ClassVar[str] = "file"

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")


class WSGIErrorHandler(logging.Handler):
    """Writes to the ``wsgi.errors`` of the request being served; outside of one, to nothing."""

    kind: ClassVar[str] = "wsgi"

    def emit(self, record: logging.LogRecord) -> None:
        exchange = current.get(None)
        stream = exchange and exchange[0].environ.get("wsgi.errors")
        if stream is None:
            return
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:  # logging must not fail what is logged
            self.handleError(record)


class Gatherer(logging.Handler):
    """Hands what the server and the layers log, each to a logger of its own, to a site's error log.

    It goes to that log's handlers alone, as those of the root logger get it anyway; where there are
    any of these, they may write to the screen as well.
    """

    def __init__(self, site: LogManager) -> None:
        super().__init__()
        self._site = site

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "cptoolkit.access":  # lines of the layer that writes them
            return
        log = self._site.error_log
        try:
            told = copy.copy(record)
            source = record.name.rpartition(".")[2].upper()
            told.msg, told.args = f"{self._site.time()} {source} {record.getMessage()}", ()
            if log.isEnabledFor(told.levelno) and log.filter(told):
                on_screen = not logging.getLogger().handlers
                for handler in log.handlers:
                    if told.levelno < handler.level:
                        continue
                    if on_screen or not isinstance(handler, ScreenHandler):
                        handler.handle(told)
        except Exception:  # logging must not fail what is logged
            self.handleError(record)


def _builtin(logger: logging.Logger, kind: str) -> logging.Handler | None:
    return next((h for h in logger.handlers if getattr(h, "kind", None) == kind), None)


def _drop(logger: logging.Logger, kind: str) -> None:
    if handler := _builtin(logger, kind):
        logger.removeHandler(handler)
        handler.close()


# The managers


class LogManager:
    """The two logs of an application, or of the site if it has no ``appid``.

    Its attributes are what config sets with ``log.<name>``; others may be added at will.
    """

    access_log_format: str = '{h} {l} {u} {t} "{r}" {s} {b} "{f}" "{a}"'
    """The line of the access log, in terms of :data:`~cptoolkit.log_lines.ATOMS`.

    By default that of the site, and for the site Apache's combined format without a time zone.

    :raises ValueError: when set, if there is a name in it that ATOMS has not."""

    in_parent: ClassVar[bool] = True
    """Files are opened anew in the parent of several processes, too, which writes to them."""

    def __init__(self, appid: object = None, logger_root: str = "cherrypy") -> None:
        """
        :param appid: tells the logs of one application from those of others.
        :param logger_root: first part of the loggers' names.
        """
        self.appid = appid
        self.logger_root = logger_root
        suffix = "" if appid is None else f".{appid}"
        self.error_log = logging.getLogger(f"{logger_root}.error{suffix}")
        """The logger for everything that is not a request."""
        self.access_log = logging.getLogger(f"{logger_root}.access{suffix}")
        """The logger for requests."""
        for logger in (self.error_log, self.access_log):
            logger.setLevel(logging.INFO)
            if appid is not None:
                # Loggers live for ever, and an id may have been another application's.
                for kind in ("screen", "file", "wsgi"):
                    _drop(logger, kind)
        if not self.error_log.handlers:
            # Or else logging writes errors to stderr although the screen is off.
            self.error_log.addHandler(logging.NullHandler())
        if not any(isinstance(f, _Escape) for f in self.error_log.filters):
            self.error_log.addFilter(_Escape())

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "access_log_format":
            atoms_of(value)
        super().__setattr__(name, value)

    def __call__(
        self,
        msg: object = "",
        context: str = "",
        severity: int = logging.INFO,
        traceback: bool = False,
    ) -> None:
        """Write to the error log; see :meth:`error`."""
        self.error(msg, context, severity, traceback)

    def error(
        self,
        msg: object = "",
        context: str = "",
        severity: int = logging.INFO,
        traceback: bool = False,
    ) -> None:
        """Write a line to the error log, which is for any message, not only for errors.

        :param context: stands before the message, such as ``"ENGINE"`` or ``"HTTP"``.
        :param severity: a level of the :mod:`logging` module.
        :param traceback: whether to add the traceback of the exception being handled.
        """
        self.error_log.log(
            severity,
            f"{self.time()} {context} {msg}",
            exc_info=traceback and sys.exc_info()[0] is not None,
        )

    def wants_access(self) -> bool:
        """Whether a line in the access log would be written anywhere."""
        logger: logging.Logger | None = self.access_log
        if not self.access_log.isEnabledFor(logging.INFO):
            return False
        while logger is not None:
            for handler in logger.handlers:
                if handler.__class__ is not logging.NullHandler:
                    return True
            logger = logger.parent if logger.propagate else None
        return False

    def access(self) -> None:
        """Write the line for the request being served to the access log, if anyone wants it.

        Outside of a request there is nothing to write. A failure goes to the error log.
        """
        if not self.wants_access() or (exchange := current.get(None)) is None:
            return
        request, response = exchange
        try:
            line = access_line(self._template(), request, response)
        except Exception:  # a response may be on its way already: the log must not break it
            self.error("The access log line could not be made:", traceback=True)
        else:
            self.access_log.info(line)

    def _template(self) -> str:
        template = self.access_log_format
        if template is LogManager.access_log_format and self.logger_root in _sites:
            return _sites[self.logger_root].access_log_format
        return template

    def time(self) -> str:
        """Return the local time as ``[22/Nov/2026:08:11:50]``."""
        return timestamp()

    def reopen_files(self) -> None:
        """Open all log files again under their names, after something has moved them away.

        A file that cannot be opened goes on being written where it is; the error log tells.
        """
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    self._reopen(handler)

    def _reopen(self, handler: logging.FileHandler) -> None:
        handler.acquire()
        try:
            fresh = handler._open()
        except OSError:
            fresh = None
        else:
            if handler.stream is not None:  # None until the first line of a delayed one
                handler.stream.close()
            handler.stream = fresh
        finally:
            handler.release()
        if fresh is None:
            self.error(f"Could not reopen {handler.baseFilename}", "LOG", logging.ERROR)

    def _get_builtin_handler(self, log: logging.Logger, key: str) -> logging.Handler | None:
        """Return the handler that the attribute ``key`` (screen, file, wsgi) put on ``log``."""
        return _builtin(log, key)

    @property
    def screen(self) -> bool:
        """Whether to write to the terminal: the error log to stderr, the access log to stdout."""
        return any(_builtin(logger, "screen") for logger in (self.error_log, self.access_log))

    @screen.setter
    def screen(self, on: bool) -> None:
        for logger, name in ((self.error_log, "stderr"), (self.access_log, "stdout")):
            if not on:
                _drop(logger, "screen")
            elif not _builtin(logger, "screen"):
                logger.addHandler(ScreenHandler(name))

    @property
    def error_file(self) -> str:
        """Path of the file that the error log is appended to; ``""`` or None for no file.

        :raises OSError: when set, if the file cannot be opened; FileNotFoundError and the like.
        """
        return self._file(self.error_log)

    @error_file.setter
    def error_file(self, path: str | os.PathLike[str] | None) -> None:
        self._set_file(self.error_log, path, "log.error_file")

    @property
    def access_file(self) -> str:
        """Path of the file that the access log is appended to; ``""`` or None for no file.

        :raises OSError: when set, if the file cannot be opened; FileNotFoundError and the like.
        """
        return self._file(self.access_log)

    @access_file.setter
    def access_file(self, path: str | os.PathLike[str] | None) -> None:
        self._set_file(self.access_log, path, "log.access_file")

    def _file(self, logger: logging.Logger) -> str:
        handler = _builtin(logger, "file")
        return handler.baseFilename if isinstance(handler, LogFile) else ""

    def _set_file(
        self, logger: logging.Logger, path: str | os.PathLike[str] | None, name: str
    ) -> None:
        if not path:
            _drop(logger, "file")
            return
        path = os.path.abspath(os.fspath(path))
        if path == self._file(logger):
            return
        try:
            handler = LogFile(path)
        except OSError as error:
            raise OSError(
                error.errno, f"{name} cannot be opened: {error.strerror}", path
            ) from error
        _drop(logger, "file")
        logger.addHandler(handler)

    @property
    def wsgi(self) -> bool:
        """Whether to write the error log to the ``wsgi.errors`` of the host (PEP 3333)."""
        return _builtin(self.error_log, "wsgi") is not None

    @wsgi.setter
    def wsgi(self, on: bool) -> None:
        if not on:
            _drop(self.error_log, "wsgi")
        elif not self.wsgi:
            self.error_log.addHandler(WSGIErrorHandler())


class GlobalLogManager(LogManager):
    """The logs of the site, which pass on what belongs to an application.

    During a request, calls and access lines go to the application's own log, from which they
    come back here as to any parent logger.
    """

    def __init__(self, appid: object = None, logger_root: str = "cherrypy") -> None:
        super().__init__(appid, logger_root)
        _sites[logger_root] = self

    def _own(self) -> LogManager | None:
        exchange = current.get(None)
        log = getattr(getattr(exchange and exchange[0], "app", None), "log", None)
        return None if log is self else log

    def __call__(
        self,
        msg: object = "",
        context: str = "",
        severity: int = logging.INFO,
        traceback: bool = False,
    ) -> None:
        """Write to the error log of the current application, or of the site."""
        (self._own() or self).error(msg, context, severity, traceback)

    def access(self) -> None:
        """Write to the access log of the current application, or of the site."""
        own = self._own()
        if own is None:
            super().access()
        else:
            own.access()


_sites: dict[str, GlobalLogManager] = {}
"""The logs of the site, by the first part of the loggers' names."""
