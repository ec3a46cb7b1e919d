"""Every code block of the documentation does what it is there for; see test_shell_blocks, too."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cptoolkit
from cptoolkit import config_files
from cptoolkit.plan import Plan

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from blocks import ALL, BLOCKS, CHECKOUT, Block, saved  # noqa: E402

sys.path.remove(str(HERE))

PATIENCE = 50  # seconds, before faulthandler loses its own; only a failure uses them up

SILENT = {"text", "html", "css", "systemd"}
"""Languages of which there is nothing to run."""

STRICT = [
    "-W", "error",
    "-W", "ignore:'cgi' is deprecated:DeprecationWarning",
    "-W", "ignore:pkg_resources is deprecated as an API:UserWarning",
    "-W", "ignore:Deprecated call to:DeprecationWarning",
]  # fmt: skip


def of(*languages: str) -> list[Block]:
    """The blocks in these languages that are run."""
    return [block for block in ALL if block.language in languages and not block.reason]


def ids(blocks: list[Block]) -> list[str]:
    return [str(block) for block in blocks]


def is_test(block: Block) -> bool:
    return bool(re.match(r"(test_\w+|conftest)\.py$", block.caption))


def is_fragment(block: Block) -> bool:
    return block.language == "python" and not (
        block.reason or block.is_program or block.caption.endswith(".py")
    )


PROGRAMS = [block for block in of("python") if block.is_program]
MODULES = [
    block
    for block in of("python")
    if block.caption.endswith(".py") and not block.is_program and not is_test(block)
]
FRAGMENTS = {
    str(page.relative_to(CHECKOUT)): list(filter(is_fragment, blocks))
    for page, blocks in BLOCKS.items()
    if any(map(is_fragment, blocks))
}
CONFIG = of("ini", "toml")
NGINX = of("nginx")
TESTS = [page for page, blocks in BLOCKS.items() if any(map(is_test, blocks))]


@pytest.fixture
def placed(request):
    """``placed(given)(text)``: the text with the addresses of services that are there."""

    def services(given):
        found = {}
        if "redis" in given:
            found["redis://localhost:6379/0"] = request.getfixturevalue("redis_server").url

        def change(text):
            for shown, real in found.items():
                text = text.replace(shown, real)
            return text

        return change

    return services


@pytest.mark.parametrize("page", FRAGMENTS)
def test_fragments_of_the_page_run(page, tmp_path, placed):
    blocks = FRAGMENTS[page]
    change = placed({name for block in blocks for name in block.given})
    saved(page, tmp_path, change)
    work = [
        (block.page, block.line, change(block.text), block.given, block.asked) for block in blocks
    ]
    done = subprocess.run(
        [sys.executable, *STRICT, HERE / "fragments.py"],
        input=json.dumps(work),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all have run\n"), done.stdout + done.stderr


@pytest.mark.parametrize("block", PROGRAMS, ids=ids(PROGRAMS))
def test_program_answers(block, tmp_path, placed, served):
    change = placed(block.given)
    saved(block.page, tmp_path, change)
    name = block.caption or "program.py"
    (tmp_path / name).write_text(change(block.text), encoding="utf-8")
    program = served(name)
    for path, form, text in block.asked or [("/", "", "")]:
        assert text in program.get(path, form), program.said()


@pytest.mark.parametrize("block", MODULES, ids=ids(MODULES))
def test_module_can_be_loaded(block, tmp_path, placed):
    change = placed(block.given)
    saved(block.page, tmp_path, change)
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", f"import runpy; runpy.run_path({block.caption!r})"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", TESTS, ids=[str(page.relative_to(CHECKOUT)) for page in TESTS])
def test_tests_of_the_page_pass(page, tmp_path):
    saved(str(page.relative_to(CHECKOUT)), tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", CONFIG, ids=ids(CONFIG))
def test_config_can_be_used(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"site.{block.language}"
    path.write_text(block.text, encoding="utf-8")
    if block.text.startswith("[filter:"):
        deploy = pytest.importorskip("paste.deploy")
        name = re.match(r"\[filter:(\w+)\]", block.text)[1]
        deploy.loadfilter(f"config:{path}", name=name)
        return
    sections = config_files.load(path)
    cptoolkit.config.update(sections.pop("global", {}))
    app = cptoolkit.Application(object(), config=sections)
    for entries in sections.values():
        Plan(app, entries)


@pytest.mark.parametrize("block", NGINX, ids=ids(NGINX))
def test_nginx_takes_its_config(block, tmp_path):
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or pytest.skip("needs nginx")
    text = block.text
    if "server {" not in text:
        text = f"server {{\n{text}\n}}"
    text = re.sub(r"(ssl_certificate(_key)?) .*;", "", text).replace(" ssl;", ";")
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/errors; events {{}}\n"
        f"http {{ include /etc/nginx/mime.types; access_log off;\n{text}\n}}\n"
    )
    for params in ("scgi_params", "fastcgi_params"):
        shutil.copy(f"/etc/nginx/{params}", tmp_path)
    done = subprocess.run(
        [nginx, "-t", "-q", "-p", tmp_path, "-c", path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [b for b in ALL if b.reason], ids=str)
def test_block_that_is_not_run_says_why(block):
    assert len(block.reason.split()) >= 3, f"{block}: {block.reason!r} is no reason"


def test_every_block_is_in_a_language_that_is_tried():
    known = {"python", "sh", "console", "zsh", "ini", "toml", "nginx", *SILENT}
    assert not [str(block) for block in ALL if block.language not in known and not block.reason]


@pytest.mark.parametrize("page", BLOCKS, ids=[str(p.relative_to(CHECKOUT)) for p in BLOCKS])
def test_page_has_no_code_without_a_language(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"^(?! *\.\. ).*::$", text, re.MULTILINE)
