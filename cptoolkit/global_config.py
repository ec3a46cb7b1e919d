"""The config of the whole site, as one object that every application looks at."""

from __future__ import annotations

from cptoolkit.configuration import Config

config = Config(
    defaults={
        "tools.encode.on": True,
        "tools.log_headers.on": True,
        "tools.log_tracebacks.on": True,
        "tools.trailing_slash.on": True,
    }
)
