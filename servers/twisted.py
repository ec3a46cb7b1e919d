"""Twisted's reactor as the bus's main loop (reference, chapter 8.7.3)."""

from __future__ import annotations

import logging
from typing import Any

from cptoolkit import embedding


def attach() -> None:
    """Start the bus when Twisted's reactor has started, and exit it before the reactor ends.

    The reactor publishes ``main``, and Twisted's log gets what the site's error log gets. If a
    listener of ``start`` fails, the reactor stops.

    :raises ImportError: without Twisted.
    """
    from twisted.internet import reactor as installed
    from twisted.internet import task
    from twisted.logger import Logger, LogLevel

    reactor: Any = installed  # its methods come from several interfaces
    logger = Logger("cptoolkit")

    def write(record: logging.LogRecord) -> None:
        level = LogLevel.error if record.levelno >= logging.ERROR else LogLevel.info
        logger.emit(level, "{text}", text=logging.Formatter().format(record))

    def start() -> None:
        try:
            embedding.start(write, main_in_thread=False)
        except embedding.StartFailure:  # the reactor would only log it, and serve
            reactor.stop()
        else:
            task.LoopingCall(embedding.publish_main).start(embedding.MAIN_INTERVAL)

    reactor.addSystemEventTrigger("after", "startup", start)
    reactor.addSystemEventTrigger("before", "shutdown", embedding.stop)
