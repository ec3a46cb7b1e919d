"""uWSGI's hooks: the bus lives in each worker, from after the fork until the worker ends."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from cptoolkit import embedding


def attach() -> None:
    """Start the bus in each of uWSGI's workers, and exit it with them.

    To be called at the end of the module that makes the application. With ``lazy-apps`` that is
    in a worker already.

    :raises ImportError: if it is not uWSGI that runs the module.
    :raises RuntimeError: if uWSGI does not let Python's threads run.
    """
    uwsgi: Any = importlib.import_module("uwsgi")  # there is none but inside of uWSGI
    if not {"enable-threads", "threads"} & {_text(option) for option in uwsgi.opt}:
        raise RuntimeError(
            "uWSGI lets no thread of Python run, and plugins need some: add enable-threads to its "
            "options"
        )
    uwsgi.atexit = _both(embedding.stop, getattr(uwsgi, "atexit", None))
    if uwsgi.worker_id():
        embedding.start()
    else:
        before = getattr(uwsgi, "post_fork_hook", None)
        uwsgi.post_fork_hook = _both(before, embedding.start)


def _both(first: Callable[[], object] | None, second: Callable[[], object] | None) -> Any:
    def call() -> None:
        for hook in (first, second):
            if hook is not None:
                hook()

    return call


def _text(option: str | bytes) -> str:
    return option if isinstance(option, str) else option.decode()
