"""Run cells as a notebook does, one after the other in one process, and tell what each has said.

``cells.py MODE`` reads a JSON list of sources, and writes one of {"text": ..., "error": ...}.
"loop" runs them inside a running asyncio loop, "thread" in a thread beside it, "kernel" in a real
one of Jupyter's.
"""

import asyncio
import contextlib
import io
import json
import sys
import traceback
from typing import Any

PATIENCE = 60


def run(source: str, names: dict[str, Any]) -> dict[str, str]:
    said, error = io.StringIO(), ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            exec(compile(source, "<cell>", "exec"), names)
        except BaseException:
            error = traceback.format_exc()
    return {"text": said.getvalue(), "error": error}


async def in_loop(cells: list[str], beside: bool) -> list[dict[str, str]]:
    names: dict[str, Any] = {"__name__": "__main__"}
    loop = asyncio.get_running_loop()
    told = []
    for cell in cells:
        told.append(
            await loop.run_in_executor(None, run, cell, names) if beside else run(cell, names)
        )
        await asyncio.sleep(0)
    return told


def in_kernel(cells: list[str]) -> list[dict[str, str]]:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(startup_timeout=PATIENCE)
    try:
        told = []
        for cell in cells:
            said: list[str] = []

            def hear(message: Any, said: list[str] = said) -> None:
                if message["msg_type"] == "stream":
                    said.append(message["content"]["text"])

            reply = client.execute_interactive(cell, output_hook=hear, timeout=PATIENCE)
            trace = reply["content"].get("traceback", [])
            told.append({"text": "".join(said), "error": "\n".join(trace)})
        return told
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main(mode: str) -> None:
    cells = json.load(sys.stdin)
    if mode == "kernel":
        told = in_kernel(cells)
    else:
        told = asyncio.run(in_loop(cells, beside=mode == "thread"))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
