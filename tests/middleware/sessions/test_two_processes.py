"""One session in two processes, kept in files."""

import os
import signal
import sys
from contextlib import ExitStack, closing

import pytest
from beside import Program
from webob import Request, Response

from cptoolkit.middleware.sessions import Sessions
from cptoolkit.middleware.sessions.files import FileStore

COUNTER = """
import sys
from webob import Request, Response
from cptoolkit.middleware.sessions import Sessions

folder, cookie, locking, times, key = sys.argv[1:]

def app(environ, start_response):
    session = environ["cptoolkit.session"]
    if locking == "implicit":
        session["n"] += 1
    else:
        session[key + environ["QUERY_STRING"]] = 1
    return Response()(environ, start_response)

site = Sessions(app, storage_type="file", storage_path=folder, locking=locking)
for number in range(int(times)):
    request = Request.blank(f"/?{number}", headers={"Cookie": cookie})
    answer = request.get_response(site)
    assert answer.status_int == 200, answer
"""

HOLDER = """
import sys, time
from cptoolkit.middleware.sessions.stored import FileSession

session = FileSession(sys.argv[2], storage_path=sys.argv[1])
session["half"] = 1
print(session.locked, flush=True)
time.sleep(600)
"""


def begun(folder):
    """The id of a session with a counter."""
    id = "a" * 40
    FileStore(folder).save(id, {"n": 0}, 4e9)
    return id


@pytest.mark.parametrize(("locking", "times"), [("implicit", 200), ("optimistic", 100)])
def test_two_processes_lose_no_update(tmp_path, locking, times):
    id = begun(tmp_path)
    command = [sys.executable, "-c", COUNTER, tmp_path, f"session_id={id}", locking, times]
    with ExitStack() as programs:
        runs = [
            programs.enter_context(closing(Program([*command, key], tmp_path)))
            for key in ("a", "b")
        ]
        assert [(run.end(), run.output) for run in runs] == [(0, []), (0, [])]
    data = FileStore(tmp_path).load(id)[0]
    if locking == "implicit":
        assert data == {"n": 2 * times}
    else:
        assert len(data) == 1 + 2 * times
    assert [name for name in os.listdir(tmp_path) if name.endswith(".new")] == []


def test_next_request_goes_on_when_the_holder_of_the_lock_is_killed(tmp_path):
    id = begun(tmp_path)
    command = [sys.executable, "-c", HOLDER, tmp_path, id]
    with closing(Program(command, tmp_path)) as holder:
        holder.wait_for("True")

        def app(environ, start_response):
            environ["cptoolkit.session"]["n"] = 5
            return Response()(environ, start_response)

        request = Request.blank("/", headers={"Cookie": f"session_id={id}"})
        busy = Sessions(app, storage=FileStore(tmp_path), lock_timeout=0)
        assert request.get_response(busy).status_int == 503
        holder.stop(signal.SIGKILL)
        site = Sessions(app, storage=FileStore(tmp_path), lock_timeout=5)
        assert request.get_response(site).status_int == 200
    assert FileStore(tmp_path).load(id)[0] == {"n": 5}
