"""Distributions built once from a copy of the checkout, and environments to install them in.

No network is needed: an environment sees the dependencies that the wheel declares, and nothing
else, through links to those installed here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
PACKAGES = {
    "cptoolkit": "cptoolkit",
    "middleware": "cptoolkit/middleware",
    "servers": "cptoolkit/servers",
}
"""Folders of the checkout, and where their modules are installed."""

PLUGIN = "pytest_cptoolkit"
"""What pytest imports at each start, for which it must not be part of the package."""

FOLDERS = [*PACKAGES, "tests", "docs", ".ci"]
FILES = ["CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md"]
FILES += ["pyproject.toml", "setup.cfg", "tox.ini"]


class Environment:
    """A virtual environment without pip, in which only declared dependencies are found."""

    def __init__(self, folder: Path, dependencies: Path):
        venv.create(folder, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        [self.site] = folder.glob("lib/python3*/site-packages")
        (self.site / "dependencies.pth").write_text(str(dependencies))

    def install(self, *what: object, build_tools: Path) -> Environment:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "-q", "--no-index"]
        options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        finished = _run([*pip, *options, *what], env={"PYTHONPATH": str(build_tools)})
        assert finished.returncode == 0, finished.stderr
        return self

    def run(self, *arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
        return _run([self.python, *arguments], cwd=cwd, **options)

    def evaluate(self, code: str, cwd: Path) -> list[str]:
        """The lines that a piece of Python prints."""
        finished = self.run("-c", code, cwd=cwd)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.splitlines()


def _run(command, *, cwd=None, env=None, timeout=120):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _link(requirement, folder):
    """Put a distribution that is installed here, and what it needs, into a folder."""
    found = distribution(Requirement(requirement).name)
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (folder / top).exists():
            (folder / top).symlink_to(found.locate_file(top))
    for needed in found.requires or ():
        marker = Requirement(needed).marker
        if marker is None or marker.evaluate({"extra": ""}):
            _link(needed, folder)


def _build(kind, source, out):
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    finished = _run([sys.executable, "-c", code], cwd=source)
    assert finished.returncode == 0, finished.stderr
    [built] = out.iterdir()
    return built


@pytest.fixture(scope="session", autouse=True)
def _setuptools():
    pytest.importorskip("setuptools", minversion="77", reason="needs setuptools 77 or later")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the checkout, so that builds leave nothing in the real one."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in FOLDERS:
        made_by_tools = shutil.ignore_patterns("__pycache__", "_build")
        shutil.copytree(CHECKOUT / name, copy / name, ignore=made_by_tools)
    for name in FILES:
        shutil.copy(CHECKOUT / name, copy)
    return copy


@pytest.fixture(scope="session")
def modules(checkout):
    """Each Python file of the package, as a path in the wheel."""
    found = {
        f"{package}/{file.relative_to(checkout / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for file in (checkout / folder).rglob("*.py")
    }
    return {name.replace("cptoolkit/testing/plugin", PLUGIN) for name in found}


@pytest.fixture(scope="session")
def checkout_files():
    """Each file of the checkout that is not made by a tool."""
    found = [path for name in FOLDERS for path in (CHECKOUT / name).rglob("*") if path.is_file()]
    names = [path.relative_to(CHECKOUT) for path in found]
    return [*FILES, *(n for n in names if not {"__pycache__", "_build"} & set(n.parts))]


@pytest.fixture(scope="session")
def build_tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build_tools")
    _link("setuptools", folder)
    return folder


@pytest.fixture(scope="session")
def freezer(tmp_path_factory):
    pytest.importorskip("PyInstaller", reason="needs PyInstaller")
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump, of binutils, for PyInstaller")
    folder = tmp_path_factory.mktemp("freezer")
    _link("pyinstaller", folder)
    return folder


@pytest.fixture(scope="session")
def sdist(checkout, tmp_path_factory):
    return _build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [top] = folder.iterdir()
    return top


@pytest.fixture(scope="session")
def wheel(unpacked, tmp_path_factory):
    """A wheel built from the sdist, as installers do it."""
    return _build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def wheel_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def requirements(wheel):
    """What an installer brings along with the wheel, on any Python."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        lines = archive.read(name).decode().splitlines()
    declared = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    return [requirement for requirement in declared if "extra ==" not in requirement]


@pytest.fixture(scope="session")
def environment(requirements, tmp_path_factory):
    """Make an environment with the declared dependencies and nothing else."""
    dependencies = tmp_path_factory.mktemp("dependencies")
    for requirement in requirements:
        marker = Requirement(requirement).marker
        if marker is None or marker.evaluate():
            _link(requirement, dependencies)
    return lambda: Environment(tmp_path_factory.mktemp("environment"), dependencies)
