"""Write down exceptions of a request where they will be found, once, and with their traceback."""

from __future__ import annotations

import logging
from traceback import format_exception
from typing import TYPE_CHECKING

from cptoolkit.middleware.observing.log_escapes import escape_native, escape_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def log_failure(environ: WSGIEnvironment, error: Exception, what: str) -> None:
    """Log that a request has failed, to the logger ``cptoolkit.errors`` at level ERROR.

    If no handler has been set up that would get it, it goes to the host's ``wsgi.errors``
    (PEP 3333). Control characters are escaped, in the traceback too.

    :param what: goes on after method and path of the request.
    """
    path = escape_native(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
    message = f"{environ['REQUEST_METHOD']} {path} {what}"
    request_id = environ.get("cptoolkit.request_id")
    if request_id:
        message += f" (request {escape_native(str(request_id))})"
    trace = escape_text("".join(format_exception(error)).rstrip())
    log = logging.getLogger("cptoolkit.errors")
    if not log.hasHandlers():
        environ["wsgi.errors"].write(f"{message}\n{trace}\n")
        environ["wsgi.errors"].flush()
    elif log.isEnabledFor(logging.ERROR):
        raised = (type(error), error, error.__traceback__)
        record = log.makeRecord(log.name, logging.ERROR, __file__, 0, message, (), raised)
        record.exc_text = trace  # formatters take this for a traceback that is formatted already
        log.handle(record)
