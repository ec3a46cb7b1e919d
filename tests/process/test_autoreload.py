import os
import re
import sys
import zipfile
from types import ModuleType

import pytest

from cptoolkit.process.plugins import Autoreloader


class Restarts:
    def __init__(self, bus):
        self.count = 0
        bus.restart = self

    def __call__(self):
        self.count += 1


@pytest.fixture
def restarts(bus):
    return Restarts(bus)


@pytest.fixture
def reloader(bus, restarts, tmp_path):
    """A reloader that watches one file, and has had its first look."""
    made = Autoreloader(bus, frequency=1000, match="^$")
    watched = tmp_path / "watched.txt"
    watched.write_text("old")
    made.files.add(str(watched))
    made.start()
    yield made
    made.stop()


def test_nothing_happens_while_nothing_changes(reloader, restarts):
    reloader.run()
    assert restarts.count == 0


def test_changed_file_restarts(bus, reloader, restarts, tmp_path):
    (tmp_path / "watched.txt").write_text("newer")
    reloader.run()
    assert restarts.count == 1
    assert bus.lines[-1] == f"Restarting because {tmp_path / 'watched.txt'} changed."


def test_file_set_back_in_time_has_changed(reloader, restarts, tmp_path):
    os.utime(tmp_path / "watched.txt", (1, 1))
    reloader.run()
    assert restarts.count == 1


def test_vanished_file_is_waited_for(reloader, restarts, tmp_path):
    watched = tmp_path / "watched.txt"
    watched.unlink()
    reloader.run()
    assert restarts.count == 0
    watched.write_text("back again")
    reloader.run()
    assert restarts.count == 1


def test_file_that_appears_later_is_watched_from_then_on(reloader, restarts, tmp_path):
    late = tmp_path / "late.txt"
    reloader.files.add(str(late))
    reloader.run()
    late.write_text("first")
    reloader.run()
    assert restarts.count == 0
    late.write_text("second")
    reloader.run()
    assert restarts.count == 1


def test_syntax_error_is_reported_and_waited_for(bus, reloader, restarts, tmp_path):
    module = tmp_path / "module.py"
    module.write_text("x = 1")
    reloader.files.add(str(module))
    reloader.run()
    module.write_text("x = (")
    reloader.run()
    reloader.run()
    assert restarts.count == 0
    assert [line for line in bus.lines if "syntax error in" in line and str(module) in line]
    module.write_text("x = 1 + 1")
    reloader.run()
    assert restarts.count == 1


def test_files_of_matching_modules_are_watched(bus):
    files = Autoreloader(bus, match=r"cptoolkit\.process\.wsp").sysfiles()
    assert [os.path.basename(path) for path in files] == ["wspbus.py"]


def test_modules_imported_later_are_watched_too(bus, restarts, monkeypatch, tmp_path):
    reloader = Autoreloader(bus, frequency=1000, match="late_module$")
    reloader.run()
    module = ModuleType("late_module")
    module.__file__ = str(tmp_path / "late_module.txt")
    (tmp_path / "late_module.txt").write_text("old")
    monkeypatch.setitem(sys.modules, "late_module", module)
    reloader.run()
    (tmp_path / "late_module.txt").write_text("newer")
    reloader.run()
    assert restarts.count == 1


def test_archive_is_watched_for_the_modules_in_it(bus, monkeypatch, tmp_path):
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("zipped_module.py", "")
    monkeypatch.syspath_prepend(str(archive))
    monkeypatch.delitem(sys.modules, "zipped_module", raising=False)
    __import__("zipped_module")
    assert Autoreloader(bus, match="zipped_module").sysfiles() == {str(archive)}


def test_source_is_watched_for_a_compiled_module(bus, monkeypatch, tmp_path):
    (tmp_path / "sourced.py").touch()
    module = ModuleType("sourced")
    module.__file__ = str(tmp_path / "sourced.pyc")
    monkeypatch.setitem(sys.modules, "sourced", module)
    assert Autoreloader(bus, match="sourced$").sysfiles() == {str(tmp_path / "sourced.py")}


def test_lazy_modules_are_not_woken(bus, monkeypatch):
    class Lazy(ModuleType):
        def __getattr__(self, name):
            raise AssertionError(f"asked for {name}")

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    assert Autoreloader(bus, match="lazy_module").sysfiles() == set()


def test_wrong_pattern_is_refused_at_once(bus):
    with pytest.raises(re.error):
        Autoreloader(bus, match="(")


def test_running_program_restarts_when_its_module_changes(run, tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "value.py").write_text("VALUE = 1")
    (package / "main.py").write_text("""
from cptoolkit.process import plugins
from cptoolkit.process.wspbus import Bus
from pack.value import VALUE

bus = Bus()
bus.subscribe("log", lambda msg, level: print(msg, flush=True))
plugins.Autoreloader(bus, frequency=0.02, match="pack").subscribe()
bus.start()
print("value", VALUE, flush=True)
if VALUE == 2:
    bus.exit()
bus.block()
""")
    script = run.command("-m", "pack.main", env={"PYTHONDONTWRITEBYTECODE": "1"})
    script.wait_for("value 1")
    assert "Started monitor thread 'Autoreloader'." in script.output
    (package / "value.py").write_text("VALUE  =  2")
    script.wait_for("Re-spawning")
    script.wait_for("value 2")
    assert script.end() == 0
