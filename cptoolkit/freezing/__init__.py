"""What PyInstaller asks this package when it makes an executable of a program that imports it."""

from __future__ import annotations

from pathlib import Path


def hook_folders() -> list[str]:
    """Where ``hook-cptoolkit.py`` is: what the entry point ``pyinstaller40`` calls."""
    return [str(Path(__file__).parent)]
