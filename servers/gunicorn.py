"""gunicorn's hooks: the bus lives in each worker, from after the fork until the worker ends.

``gunicorn -c python:cptoolkit.servers.gunicorn mymod:wsgiapp``, or in a config file of one's own
``from cptoolkit.servers.gunicorn import *``.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from cptoolkit import embedding

__all__ = ["post_worker_init", "worker_exit"]


def post_worker_init(worker: Any) -> None:
    """Start the bus, now that the worker has loaded the application; its log is gunicorn's.

    :raises RuntimeError: if a listener of ``start`` fails: gunicorn ends then, as it does when the
        application cannot be imported.
    """
    try:
        embedding.start(worker.log.error_log.handle)
    except (
        embedding.StartFailure
    ) as failure:  # a SystemExit, after which gunicorn would try for ever
        raise RuntimeError("the bus has not started; its log tells why") from failure
    _heed_log_rotation()


def _heed_log_rotation() -> None:
    """Have SIGUSR1 mean to the bus, too, what it means to gunicorn."""
    reopen = signal.getsignal(signal.SIGUSR1)

    def handle(signum: int, frame: FrameType | None) -> None:
        if callable(reopen):
            reopen(signum, frame)
        embedding.engine.call_soon(embedding.engine.graceful)

    signal.signal(signal.SIGUSR1, handle)
    signal.siginterrupt(signal.SIGUSR1, False)  # signal() forgets that, which gunicorn has set


def worker_exit(server: Any, worker: Any) -> None:
    """Exit the bus: requests under way have been answered."""
    embedding.stop()
