"""Starts the bus itself, and with ``--preload`` before gunicorn forks."""

from hosted import wsgiapp

import cptoolkit

__all__ = ["wsgiapp"]

cptoolkit.server.unsubscribe()
cptoolkit.engine.autoreload.unsubscribe()
cptoolkit.engine.start()
