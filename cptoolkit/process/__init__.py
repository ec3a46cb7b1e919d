"""The process that the application lives in: the bus, its plugins, and servers on it."""

from __future__ import annotations

from cptoolkit.process import plugins, servers, wspbus
from cptoolkit.process.wspbus import bus

__all__ = ["bus", "plugins", "servers", "wspbus"]
