"""The plugins for the bus, under one name (reference, chapters 5.5, 5.6, 7.1 and 8)."""

from __future__ import annotations

from cptoolkit.process.autoreload import Autoreloader
from cptoolkit.process.daemon import Daemonizer
from cptoolkit.process.monitors import BackgroundTask, Monitor, PerpetualTimer
from cptoolkit.process.pidfile import PIDFile
from cptoolkit.process.privileges import DropPrivileges
from cptoolkit.process.signals import SignalHandler
from cptoolkit.process.simple import SimplePlugin
from cptoolkit.process.threads import ThreadManager
from cptoolkit.process.timeouts import TimeoutMonitor

__all__ = [
    "Autoreloader",
    "BackgroundTask",
    "Daemonizer",
    "DropPrivileges",
    "Monitor",
    "PIDFile",
    "PerpetualTimer",
    "SignalHandler",
    "SimplePlugin",
    "ThreadManager",
    "TimeoutMonitor",
]
