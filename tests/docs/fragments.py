"""Run the fragments of one page after one another, as one program: ``fragments.py < blocks.json``.

Each is a list of its page, its first line, its text, the names that it is given, and what its
``app`` is asked for. An error is told with the line of the page.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType

import surroundings
from webtest import TestApp


def main() -> None:
    sys.modules["__main__"] = page_module = ModuleType("__main__")
    namespace = vars(page_module)
    sys.path.insert(0, ".")
    for page, line, text, given, asked in json.load(sys.stdin):
        namespace.update(surroundings.names(given))
        # From the second line of "\n\n...x = 1" on, lines are counted as they are in the page.
        exec(compile("\n" * (line - 1) + text, page, "exec"), namespace)
        if asked:
            client = TestApp(namespace["application" if "application" in text else "app"])
            for path, form, wanted in asked:
                answer = client.post(path, form) if form else client.get(path)
                assert wanted in answer.text, f"{page}:{line}: {path} gave {answer.text!r}"
    print("all have run")


main()
