"""Listening sockets handed over by systemd (sd_listen_fds(3); reference, chapter 8.4)."""

from __future__ import annotations

import os

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START


def passed_descriptors() -> range:
    """The descriptors that are listening sockets meant for this process.

    ``LISTEN_PID`` has to name this process, so that children do not take what is their parent's.
    Without a usable ``LISTEN_FDS`` it is one socket.

    :returns: an empty range if there are none.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    count = os.environ.get("LISTEN_FDS", "")
    return range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + (int(count) if count.isdecimal() else 1))
