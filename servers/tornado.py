"""Tornado's loop as the bus's main loop (reference, chapter 8.7.2)."""

from __future__ import annotations

from cptoolkit import embedding


def attach() -> None:
    """Start the bus now, and have the current ``IOLoop`` publish ``main``.

    The bus exits with the program, on SIGTERM too; see :func:`cptoolkit.embedding.embed`.

    :raises ImportError: without Tornado.
    :raises StartFailure: if a listener of ``start`` fails.
    """
    from tornado.ioloop import PeriodicCallback

    embedding.embed(main_in_thread=False)
    PeriodicCallback(embedding.publish_main, 1000 * embedding.MAIN_INTERVAL).start()
