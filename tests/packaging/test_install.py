"""However it is installed and wherever Python is started, the same package is found whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

WHERE = """\
import cptoolkit, cptoolkit.middleware.accept, cptoolkit.process.wspbus, cptoolkit.servers.server
print(cptoolkit.__file__)
print(cptoolkit.middleware.__file__)
print(cptoolkit.servers.__file__)
"""


@pytest.fixture(scope="module", params=["wheel", "folder", "editable", "strict"])
def how(request):
    return request.param


@pytest.fixture(scope="module")
def installed(how, environment, checkout, wheel, build_tools):
    """An environment to which cptoolkit was brought in one of the ways."""
    what = {
        "wheel": [wheel],
        "folder": [checkout],
        "editable": ["-e", checkout],
        "strict": ["-e", checkout, "--config-settings", "editable_mode=strict"],
    }[how]
    return environment().install(*what, build_tools=build_tools)


def rooms(checkout):
    return [str(checkout / room / "__init__.py") for room in ("cptoolkit", "middleware", "servers")]


def test_found_whole_from_another_folder(installed, how, tmp_path, checkout):
    places = installed.evaluate(WHERE, cwd=tmp_path)
    home = {"editable": checkout, "strict": checkout / "build"}.get(how, installed.site)
    assert all(Path(place).is_relative_to(home) for place in places)


def test_found_whole_at_the_root_of_the_checkout(installed, checkout):
    assert installed.evaluate(WHERE, cwd=checkout) == rooms(checkout)


def test_found_whole_at_the_root_without_installing(environment, checkout):
    assert environment().evaluate(WHERE, cwd=checkout) == rooms(checkout)


def test_bare_names_are_left_to_users(installed, tmp_path):
    code = "from importlib.util import find_spec as f; print(f('middleware'), f('servers'))"
    assert installed.evaluate(code, cwd=tmp_path) == ["None None"]


def test_users_may_have_modules_of_these_names(installed, tmp_path):
    (tmp_path / "middleware.py").write_text("mine = True")
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "__init__.py").write_text("mine = True")
    code = f"{WHERE}import middleware, servers; print(middleware.mine, servers.mine)"
    assert installed.evaluate(code, cwd=tmp_path)[-1] == "True True"


def test_wheel_holds_every_module(wheel_files, modules):
    assert {name for name in wheel_files if name.endswith(".py")} == modules


@pytest.mark.parametrize(
    "name",
    [
        "cptoolkit/favicon.ico",
        "cptoolkit/py.typed",
        "cptoolkit/middleware/py.typed",
        "cptoolkit/servers/py.typed",
    ],
)
def test_wheel_holds_data(wheel_files, name):
    assert name in wheel_files


def test_wheel_holds_the_package_and_its_plugin_of_pytest(wheel_files):
    tops = {name.partition("/")[0] for name in wheel_files}
    assert {top.partition("-")[0] for top in tops} == {"cptoolkit", "pytest_cptoolkit"}


def test_installing_brings_five_libraries(requirements):
    everywhere = {r.name for r in map(Requirement, requirements) if r.marker is None}
    assert everywhere == {"webob", "werkzeug", "httptools", "filelock", "itsdangerous"}


def test_sdist_holds_the_whole_checkout(unpacked, checkout_files):
    missing = [name for name in checkout_files if not (unpacked / name).is_file()]
    assert missing == []


def test_command_is_installed(environment, wheel, build_tools, tmp_path):
    made = environment().install(wheel, build_tools=build_tools)
    shown = made.run(made.folder / "bin" / "cptoolkit", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "run" in shown.stdout
