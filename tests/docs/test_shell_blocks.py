"""Every shell block of the documentation does what it is there for.

Each line is run, in the order of the page and in a shell of its own (bash, for ``zsh`` blocks zsh),
in one folder with the files that the page shows and those that ``surroundings.FILES`` has for it.
``.venv`` is the environment of the tests. Ports are free ones.

- A line that ends has to succeed. One of a ``console`` block has to print what the page shows; if
  that is something, its status may be any.
- A line that goes on and listens is a server. It is asked for what the block is ``asked`` for, or
  for its first page; with SCGI and FastCGI it only has to listen. It is ended before the next line
  that is not of curl or sudo.
- curl asks the server, or else the program that the page has shown last. A status from 400 on is a
  failure.
- nginx is there, without root, and without a site until a line has it take that of the page.

Only checked is whether programs, options and extras are known (see ``command_lines``)

- of what installs, ``apt``, ``pip`` and ``python -m venv``, and of ``docker run`` up to the command
  in the container, which is run without one: ``stand_ins.sh`` does nothing in their place;
- in blocks that are marked ``not run``. Scripts of the checkout at least tell their ``--help``.
"""

from __future__ import annotations

import re
import sys
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from blocks import ALL, BLOCKS, CHECKOUT, saved  # noqa: E402
from command_lines import check_line, lines_of  # noqa: E402
from surroundings import FILES  # noqa: E402

sys.path.remove(str(HERE))

SHELLS = {"sh": "bash", "console": "bash", "zsh": "zsh"}
"""Who runs the blocks in a language."""

BY_SHELL = [block for block in ALL if block.language in SHELLS]
RUN = list(dict.fromkeys(block.page for block in BY_SHELL if not block.reason))
NOT_RUN = [block for block in BY_SHELL if block.reason]


@pytest.mark.parametrize("page", RUN)
def test_lines_of_the_page_run(page, terminal):
    blocks = [block for block in BLOCKS[CHECKOUT / page] if not block.reason]
    with_nginx = any("nginx -s" in block.text for block in blocks)
    if with_nginx:
        terminal.start_nginx()
    saved(page, terminal.folder, terminal.moved)
    program = ""
    for block in blocks:
        if block.is_program:
            program = block.caption
        elif block.language == "nginx" and with_nginx:
            terminal.add_site(block.text)
        elif block.language in SHELLS:
            for name in block.given:
                path = terminal.folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(FILES[name], encoding="utf-8")
            for line, shown in lines_of(block):
                check_line(line, stand_ins_alone=True)
                if line.startswith("curl ") and not terminal.serving:
                    terminal.give(f"python {program}")
                given = terminal.give(line, SHELLS[block.language])
                if given is not terminal.serving:
                    see_what_it_printed(given, shown and terminal.moved(shown))
                elif not re.search("scgi|fastcgi", line):
                    for path, form, text in block.asked or [("/", "", "")]:
                        assert text in given.get(path, form), given.said()


def see_what_it_printed(given, shown):
    """
    :param shown: None if nothing is said of that.
    """
    printed = "\n".join(given.output).rstrip()
    if missing := re.search(r"(\S+): command not found", printed):
        pytest.skip(f"needs {missing[1]}")
    if not shown:
        assert given.process.returncode == 0, printed
    if shown is not None:
        alike = OutputChecker().check_output(shown.rstrip(), printed, ELLIPSIS)
        assert alike, f"It printed\n{printed}\n\nand not\n{shown}"


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_lines_that_are_not_run_have_known_options(block):
    for line, _ in lines_of(block):
        check_line(line)
