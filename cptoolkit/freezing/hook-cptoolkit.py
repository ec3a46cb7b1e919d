"""What PyInstaller cannot find by itself: modules that only tables and config name, and data."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FOR_DEVELOPERS = ("child_processes", "freezing", "testing", "tutorial")

_files = [file.relative_to(_PACKAGE).with_suffix("") for file in _PACKAGE.rglob("*.py")]
_parts = [file.parts for file in _files if file.parts[0] not in _FOR_DEVELOPERS]

hiddenimports = [".".join(("cptoolkit", *parts)).removesuffix(".__init__") for parts in _parts]
datas = [(str(_PACKAGE / "favicon.ico"), "cptoolkit")]
