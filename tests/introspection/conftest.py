"""The commands, run in this process on modules of a folder of the test's own."""

import sys

import pytest

from cptoolkit.cli import main


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """``command(*words)`` gives (status, standard output, standard error) of ``cptoolkit``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("shop", "odd"):  # of other tests of this process
        monkeypatch.delitem(sys.modules, name, raising=False)
    path, modules = list(sys.path), set(sys.modules)

    def run(*words):
        try:
            status = main(list(words))
        except SystemExit as leaving:
            status = leaving.code
        return status, *capsys.readouterr()

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) is None:
            continue
        if sys.modules[name].__file__.startswith(str(tmp_path)):
            del sys.modules[name]
