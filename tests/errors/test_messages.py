"""Every message of ours: what was wrong, where, the nearest right thing.

``pytest -s tests/errors/test_messages.py -k read_aloud`` prints them all. What provokes them stands
in the lists site.txt, layers.txt and server.txt, an expression a line.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import cptoolkit
from cptoolkit import middleware, servers

TESTS = Path(__file__).parents[1]
HERE = Path(__file__).parent
LISTS = ("site.txt", "layers.txt", "server.txt")
PACKAGES = [Path(package.__file__ or "").parent for package in (cptoolkit, middleware, servers)]

LOGGING = frozenset(
    {"critical", "error", "error_log", "exception", "fail", "info", "log", "log_failure", "warn"}
    | {"warning"}
)
"""Names of functions that are given messages."""

NOT_OURS = {
    "testing": "of tests, which are read beside their code",
    "tutorial": "of programs that show how to write one's own",
    "child_processes": "of a program that runs under CherryPy's name",
}
"""Folders whose messages no user, operator or client sees."""

EXEMPT = {
    "\nRequest Headers:\n{}": "a block of the log, as the reference has it (7.2)",
    "\nRequest Hooks:\n{}": "a block of the log, as the reference has it (7.2)",
    "the failsafe hook {} failed too": "comes with the traceback that tests/test_hooks.py reads",
    "Illegal cookie name {}": "depends on which names Python's cookies take",
    "LISTEN_PID promises a socket as descriptor {}: {}.": "a broken promise of systemd's",
    "PID {} watches over {} processes.": "of the parent of several processes, when all is well",
    "The processes have ended, but not in order": "of the parent of several processes",
    "Error in 'graceful' listener {}": "of the parent of several processes",
    "users and groups have names on Unix only: give numbers": "on Windows only",
    "SIGHUP caught while daemonized. Restarting.": "of a daemon",
    "Waiting for thread {}.": "of a thread that does not end",
    "the user name has control characters": "of a name in an encoding of its own",
    "{}; its users stay those of before": "the first value is a message of this list",
    "the file changes just now": "caught: the file is opened anew",
    "the file has changed just now": "caught: the file is opened anew",
    "the file has changed": "caught: the file is opened anew",
    "no scheme of HTTP": "caught: the field of a proxy cannot be read, which is told",
    "no such element in RFC 7239": "caught: the field of a proxy cannot be read, which is told",
    "MemcachedStore needs pymemcache: pip install 'cptoolkit[memcached]'": "without that package",
    "SQLStore needs SQLAlchemy: pip install 'cptoolkit[sql]'": "without that package",
    "The handshake for a WebSocket has failed.": "of a connection that breaks just then",
    "the connection is the application's": "caught: the server leaves the connection alone",
    "the connection is closed": "caught: nobody is there to be told",
    "the client stopped sending its request": "caught: the client gets a 408",
    "the client sends its request too slowly": "caught: the client gets a 408",
    "an answer was cut short: {}": "of a connection that breaks just then",
    "CONTENT_LENGTH is {}, and should be digits.": "to the web server in front",
    "There are two different CONTENT_LENGTH.": "to the web server in front",
    "This server speaks FastCGI, version 1.": "to the web server in front",
    "A record of type {} has no place here.": "to the web server in front",
    "A name or value is longer than its record.": "to the web server in front",
    "its line has no end": "caught: 'PROXY header:' comes before it",
    "its line is malformed": "caught: 'PROXY header:' comes before it",
    "version and command are 0x{}": "caught: 'PROXY header:' comes before it",
    "its addresses are cut short": "caught: 'PROXY header:' comes before it",
    "family and protocol are 0x{}": "caught: 'PROXY header:' comes before it",
    "PROXY header: {}": "of a proxy in front; tests/servers/test_proxy_protocol.py sees the end",
    "hung up before the PROXY header was complete": "caught: nobody is there to be told",
    "stopped while handlers were still running in {}": "of handlers that do not end",
    "The request head is malformed.": "where the parser has no words of its own",
    "Error while serving {}": "of a server that is not ours, with its traceback",
    "peercreds needs Linux": "on other systems only",
    "there can be no request for {}: {}": "the second value says why",
    "timed out": "the words of Python's sockets, which programs may look for",
    "Too many WebSockets are open here.": "takes more connections than a test should open",
    "The native server cannot serve {}: {} {}, which it by-passes. Leave server.httpserver alone,"
    " and the default server does.": "tests/test_native_server.py looks for its remedy",
}
"""Messages that are not provoked here nor quoted by other tests, and why."""

KEPT = {
    "Invalid JSON document": "CherryPy's words, which its own tests quote",
    "Illegal cookie name {}": "CherryPy's words, which its own tests quote",
    "Specified method is invalid for this resource": "the words of Python's http module",
    "Invalid header token.": "the words of the parser, llhttp",
    "unknown argument {}{}": "the second value says what there is",
}
"""Messages that do not have the form, and why."""

INVALID = re.compile(r"\b(invalid|illegal|bad|unknown|unexpected)\b", re.IGNORECASE)
REMEDY = re.compile(r"\b(must|takes|expected|is one of|such as|should|did you mean|need)\b|[:;,]")


class Message(NamedTuple):
    """A message in the source: its literal parts, between which values stand."""

    place: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "{}".join(self.parts)

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.parts)), re.DOTALL)


def rows() -> list[str]:
    lines = [line for name in LISTS for line in (HERE / name).read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def literal(node: ast.expr) -> tuple[str, ...] | None:
    """The literal parts of an expression that makes a text; None if it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return tuple(re.split(r"%[-.0-9]*[a-z]|\{\}", node.value))
    if isinstance(node, ast.JoinedStr):
        parts = [""]
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                parts[-1] += str(piece.value)
            else:
                parts.append("")
        return tuple(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = literal(node.left), literal(node.right)
        return (*(left or ("",)), *(right or ("",))) if left or right else None
    return None


def messages() -> list[Message]:
    """The messages in the source of the package, that is, texts of two words and more."""
    found: dict[Message, None] = {}
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            place = path.relative_to(package.parent)
            if not NOT_OURS.keys().isdisjoint(place.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for argument in arguments(node):
                    parts = literal(argument)
                    if (
                        parts
                        and " " in "".join(parts).strip()
                        and len(re.findall(r"[A-Za-z]{2,}\b", " ".join(parts))) > 1
                    ):
                        found[Message(str(place), parts)] = None
    return list(found)


def arguments(node: ast.AST) -> list[ast.expr]:
    """What may be a message: in what is raised, and in what is given to a log."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc.args
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return node.args if name in LOGGING else []
    return []


def quoted() -> str:
    """What the tests say, without what keeps a pattern or a text apart."""
    paths = (path for path in TESTS.rglob("*.py") if path.parent != HERE)
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    text = re.sub(r"[\"']\s*\n\s*r?f?[\"']", "", text)
    return re.sub(r"[,;:.]?\s+", " ", text.replace("\\", ""))


def provoked(catalogue: dict[str, list[str] | BaseException]) -> list[str]:
    """All messages of the catalogue."""
    told = (told for told in catalogue.values() if not isinstance(told, BaseException))
    return [message for messages in told for message in messages]


def is_quoted(message: Message, tests: str) -> bool:
    """Whether three words of it in a row, or a part that has fewer, stand in a test."""
    for part in message.parts:
        words = [word.strip(",;:.") for word in part.split()]
        if len(words) > 2:
            trios = zip(words, words[1:], words[2:], strict=False)
            if any(" ".join(trio) in tests for trio in trios):
                return True
        elif len(words) == 2 and len(message.parts) < 4 and " ".join(words) in tests:
            return True
    return False


@pytest.mark.parametrize("how", rows())
def test_message_has_the_form(catalogue, how):
    told = catalogue[how]
    assert not isinstance(told, BaseException), told
    for message in told:
        assert message.strip(), "nothing is said"
        assert "\n" not in message
        assert len(message) < 500
        assert len(message.split()) > 2
        assert not re.search(r"object at 0x|<function|<bound method|Traceback", message)
        if INVALID.search(message) and message not in KEPT:
            assert REMEDY.search(message), "what would be right?"


def test_messages_can_be_read_aloud(catalogue):
    for how, told in catalogue.items():
        if isinstance(told, BaseException):
            continue
        shown = how if len(how) < 100 else f"{how[:97]}..."
        print(shown, *(f"    {message}" for message in told), sep="\n")
    proven = provoked(catalogue)
    print("\nProvoked by tests of their own:")
    for message in messages():
        if not any(message.pattern.search(told) for told in proven):
            print(f"    {message.place}: {message.text}")


def test_no_message_is_missing_here(catalogue):
    """Each is provoked here, quoted by a test of its own, or never leaves the toolkit."""
    lines = provoked(catalogue)
    tests = quoted()
    missing = [
        f"{message.place}: {message.text}"
        for message in messages()
        if not any(message.pattern.search(line) for line in lines)
        and not is_quoted(message, tests)
        and message.text not in EXEMPT
    ]
    assert not missing, "\n".join(missing)


def test_texts_in_the_source_have_the_form():
    poor = [
        f"{message.place}: {message.text}"
        for message in messages()
        if message.text.endswith(("!", " ", "\n"))
        or "  " in message.text
        or (
            INVALID.search(message.text)
            and not REMEDY.search(message.text)
            and message.text not in KEPT
        )
    ]
    assert not poor, "\n".join(poor)
