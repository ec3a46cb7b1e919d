"""``cptoolkit.embedding``, in processes that no server owns."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import logging, os, signal, sys, threading
import cptoolkit
from cptoolkit.embedding import embed

config, engine = cptoolkit.config, cptoolkit.engine
"""


def run(source):
    """Run a program to its end; return what it has printed, and what it has logged."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_environment_is_embedded():
    printed, _ = run("""
        embed()
        print(config["environment"], config["request.show_tracebacks"])
        print(config["tools.log_headers.on"], cptoolkit.log.screen)
    """)
    assert printed == ["embedded False", "False False"]


def test_environment_that_config_names_stays():
    printed, _ = run("""
        config.update({"environment": "staging"})
        embed()
        print(config["environment"])
    """)
    assert printed == ["staging"]


def test_settings_of_the_program_stay():
    printed, _ = run("""
        config.update({"request.show_tracebacks": True})
        embed()
        print(config["request.show_tracebacks"])
    """)
    assert printed == ["True"]


def test_settings_are_not_applied_a_second_time():
    printed, _ = run("""
        config.namespaces["db"] = lambda name, value: print(name, value)
        config.update({"db.host": "a"})
        embed()
    """)
    assert printed == ["host a"]


def test_server_autoreloader_and_signal_handlers_give_way():
    printed, log = run("""
        previous = signal.getsignal(signal.SIGHUP)
        engine.signals.subscribe()
        embed()
        print(cptoolkit.server.running, engine.autoreload.thread)
        print(signal.getsignal(signal.SIGHUP) is previous)
    """)
    assert printed == ["False None", "True"]
    assert "Serving on" not in log


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("pass", id="of its own"),
        pytest.param("config.update({'log.screen': True})", id="of the screen"),
        pytest.param("logging.basicConfig()", id="of the root logger"),
    ],
)
def test_log_is_written_once(settings):
    _, log = run(f"""
        {settings}
        embed()
    """)
    assert log.count("Bus STARTED") == 1


def test_log_line_has_its_time():
    _, log = run("embed()")
    assert re.match(r"\[../.../....:..:..:..\] ENGINE Bus STARTING\n", log)


def test_log_that_fails_does_not_fail_the_program():
    printed, log = run("""
        from cptoolkit import embedding
        embedding.start(lambda record: 1 / 0)
        print(engine.state)
        embedding.stop()
    """)
    assert printed == ["states.STARTED"]
    assert "ZeroDivisionError" in log


def test_embedding_twice_starts_the_bus_once():
    _, log = run("embed(); embed()")
    assert log.count("Bus STARTED") == 1


def test_handler_of_the_host_stays():
    printed, _ = run("""
        def end(*arguments):
            print("by the host")

        signal.signal(signal.SIGTERM, end)
        embed()
        os.kill(os.getpid(), signal.SIGTERM)
        print(engine.state)
    """)
    assert printed == ["by the host", "states.STARTED"]


def test_bus_starts_outside_of_the_main_thread():
    printed, log = run("""
        thread = threading.Thread(target=embed)
        thread.start()
        thread.join()
        print(engine.state)
    """)
    assert printed == ["states.STARTED"]
    assert "Bus EXITED" in log


def test_bus_exits_before_python_waits_for_threads():
    printed, _ = run("""
        ended = threading.Event()
        engine.subscribe("start", threading.Thread(target=ended.wait).start)
        engine.subscribe("stop", ended.set)
        embed()
        print("end of the program")
    """)
    assert printed == ["end of the program"]


def test_main_is_left_to_the_loop_of_the_host():
    printed, _ = run("""
        from cptoolkit import embedding
        engine.subscribe("main", lambda: print("main"))
        embed(main_in_thread=False)
        embedding.publish_main()
        print([thread.name for thread in threading.enumerate() if thread.name == "main loop"])
    """)
    assert printed == ["main", "[]"]


def test_listener_that_fails_ends_the_program():
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + "engine.subscribe('start', lambda: 1 / 0); embed()"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr


def test_fork_leaves_the_bus_of_its_parent_alone():
    printed, log = run("""
        from cptoolkit import embedding
        embed()
        if (child := os.fork()) == 0:
            embedding.stop()
            os._exit(0)
        os.waitpid(child, 0)
        print(engine.state)
    """)
    assert printed == ["states.STARTED"]
    assert log.count("Bus EXITED") == 1
