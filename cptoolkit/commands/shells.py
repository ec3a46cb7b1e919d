"""Scripts that have shells complete command lines, made from the parsers of the commands."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cptoolkit.commands.parser import Parser, first_words
from cptoolkit.global_config import config

Parsers = Mapping[str, Parser]
"""Parsers by the name of their command; last and as "" that of the command without a name."""

_FILES, _FOLDERS, _TARGET = ("FILE", "STR"), ("FOLDER",), ("TARGET",)
"""How the help calls values that are found in the file system; texts may be paths."""

_USUAL: dict[str, Iterable[str]] = {"environment": config.environments}
"""Likely values of options that several commands have."""


@dataclass(frozen=True)
class Word:
    """An option or an argument, as shells see it."""

    flags: tuple[str, ...]
    """What it is called; empty for an argument without a name."""

    help: str
    """The first sentence about it."""

    value: str
    """What its value is, as the help has it; "" if it takes none."""

    choices: tuple[str, ...]
    """Likely values."""

    repeated: bool
    """Whether it may be given several times."""


def words(parser: Parser) -> list[Word]:
    """The options and arguments of a command."""
    return [_word(parser, action) for action in parser.actions()]


def _word(parser: Parser, action: argparse.Action) -> Word:
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or action.dest.upper())
    return Word(
        flags=tuple(action.option_strings),
        help=first_words(str(action.help or "").replace("%%", "%")),
        value=value,
        choices=tuple(action.choices or {**_USUAL, **parser.suggestions}.get(action.dest, ())),
        repeated=isinstance(action, argparse._AppendAction),
    )


# -- bash -----------------------------------------------------------------------------------------


def bash(parsers: Parsers) -> str:
    """A script for bash 4.4 and later."""
    cases = "\n".join(_bash_case(name, parser, parsers) for name, parser in parsers.items())
    return f"""\
# Has bash complete the words of cptoolkit.
_cptoolkit_reply() {{
    mapfile -t COMPREPLY < <(compgen "$@" -- "$word")
}}

_cptoolkit_files() {{
    compopt -o filenames 2> /dev/null
    _cptoolkit_reply "$@"
}}

_cptoolkit() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=
    COMPREPLY=()
    if (( COMP_CWORD > 1 )); then command=${{COMP_WORDS[1]}}; fi
    case $command in
{cases}
    esac
}}

complete -F _cptoolkit cptoolkit
"""


def _bash_case(name: str, parser: Parser, parsers: Parsers) -> str:
    taken = words(parser)
    values: dict[str, list[str]] = {}
    for word in taken:
        if word.flags and word.value:
            values.setdefault(_bash_value(word), []).extend(word.flags)
    argument = next((_bash_value(word) for word in taken if not word.flags), ":")
    if not name:
        argument = f"_cptoolkit_reply -W {shlex.quote(' '.join(filter(None, parsers)))}"
    flags = " ".join(flag for word in taken for flag in word.flags)
    return "\n".join(
        [
            f"        {name or '*'})",
            "            case $before in",
            *(f"                {'|'.join(of)}) {do}; return ;;" for do, of in values.items()),
            "            esac",
            "            case $word in",
            f"                -*) _cptoolkit_reply -W {shlex.quote(flags)} ;;",
            f"                *) {argument} ;;",
            "            esac ;;",
        ]
    )


def _bash_value(word: Word) -> str:
    if word.choices:
        return f"_cptoolkit_reply -W {shlex.quote(' '.join(word.choices))}"
    if word.value in _FILES:
        return "_cptoolkit_files -f"
    if word.value in _FOLDERS:
        return "_cptoolkit_files -d"
    if word.value in _TARGET:
        return "_cptoolkit_files -o plusdirs -f -X '!*.py'"
    return ":"


# -- zsh ------------------------------------------------------------------------------------------


def zsh(parsers: Parsers) -> str:
    """A script for zsh, for its function path (as ``_cptoolkit``) or to be evaluated after
    compinit."""
    commands = " ".join(
        shlex.quote(f"{name}:{first_words(str(parser.description))}")
        for name, parser in parsers.items()
        if name
    )
    cases = "\n".join(
        f"        {name or '*'}) _arguments {' '.join(_zsh_specs(parser))} ;;"
        for name, parser in parsers.items()
    )
    return f"""\
#compdef cptoolkit
# Has zsh complete the words of cptoolkit.
_cptoolkit() {{
    local -a commands=({commands})
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        _describe command commands
        return
    fi
    local command=$words[2]
    if (( $+commands[(r)$command:*] )); then
        shift words
        (( CURRENT-- ))
    fi
    case $command in
{cases}
    esac
}}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _cptoolkit "$@"  # found in the function path when first asked
else
    compdef _cptoolkit cptoolkit
fi
"""


def _zsh_specs(parser: Parser) -> Iterator[str]:
    for word in words(parser):
        value = f":{_zsh_text(word.value)}:{_zsh_value(word)}" if word.value else ""
        if not word.flags:
            yield shlex.quote(value)
            continue
        others = "" if word.repeated else f"({' '.join(word.flags)})"
        for flag in word.flags:
            star = "*" if word.repeated else ""
            yield shlex.quote(f"{others}{star}{flag}[{_zsh_text(word.help)}]{value}")


def _zsh_text(text: str) -> str:
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _zsh_value(word: Word) -> str:
    if word.choices:
        return f"({' '.join(word.choices)})"
    if word.value in _FOLDERS:
        return "_files -/"
    if word.value in _TARGET:
        return '_files -g "*.py"'
    return "_files" if word.value in _FILES else " "


# -- fish -----------------------------------------------------------------------------------------


def fish(parsers: Parsers) -> str:
    """A script for fish."""
    lines = ["# Has fish complete the words of cptoolkit.", "complete -c cptoolkit -f"]
    for name, parser in parsers.items():
        if name:
            about = _fish_quoted(first_words(str(parser.description)))
            lines.append(f"complete -c cptoolkit -n __fish_use_subcommand -a {name} -d {about}")
        when = f"'__fish_seen_subcommand_from {name}'" if name else "__fish_use_subcommand"
        lines += [f"complete -c cptoolkit -n {when} {rest}" for rest in _fish_words(parser)]
    return "\n".join([*lines, ""])


def _fish_words(parser: Parser) -> Iterator[str]:
    for word in words(parser):
        parts = [
            f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in word.flags
        ]
        if word.value and word.flags:
            # It needs a value, which no file's name is unless that is said below.
            parts.append("-r" if word.value in (*_FILES, *_TARGET) else "-x")
        if word.choices:
            parts.append(f"-a {_fish_quoted(' '.join(word.choices))}")
        elif word.value in _FOLDERS:
            parts.append("-a '(__fish_complete_directories)'")
        elif word.value in (*_FILES, *_TARGET):
            parts.append("-F")
        elif not word.flags:
            continue
        if word.flags:
            parts.append(f"-d {_fish_quoted(word.help)}")
        yield " ".join(parts)


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS: dict[str, Callable[[Parsers], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""What makes the script, by the shell's name."""
