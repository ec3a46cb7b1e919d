from __future__ import annotations

import pytest

from cptoolkit.profiler import ProfileAggregator, Profiler, make_app


@pytest.fixture
def profiler(tmp_path):
    return Profiler(tmp_path / "profiles")


def work(number):
    return sum(range(number))


def test_call_gives_what_it_would_without_and_leaves_a_file(profiler):
    assert profiler.run(work, 10) == profiler.run(work, number=10) == 45
    assert profiler.statfiles() == ["cp_0001.prof", "cp_0002.prof"]
    assert "(work)" in profiler.stats("cp_0001.prof")


def test_aggregator_has_one_file_for_all(tmp_path):
    profiler = ProfileAggregator(tmp_path)
    for _ in range(3):
        profiler.run(work, 10)
    assert profiler.statfiles() == ["cp_0001.prof"]
    line = next(line for line in profiler.stats("cp_0001.prof").split("\n") if "(work)" in line)
    assert line.split()[0] == "3"


def test_call_within_a_profiled_one_runs_without(profiler):
    assert profiler.run(profiler.run, work, 10) == 45
    assert len(profiler.statfiles()) == 2
    with pytest.raises(FileNotFoundError, match=r"there is no profile 'cp_0002\.prof'"):
        profiler.stats("cp_0002.prof")


def test_failure_of_a_call_travels_on(profiler):
    with pytest.raises(ZeroDivisionError):
        profiler.run(lambda: 1 / 0)
    assert profiler.run(work, 10) == 45


def test_pages_list_and_show_the_files(app_of, profiler):
    client = app_of(profiler)
    assert "Nothing has been profiled yet." in client.get("/")
    profiler.run(work, 10)
    assert "(work)" in client.get("/").click("cp_0001.prof")
    assert "(work)" in client.get("/report?filename=cp_0001.prof&sortby=time")


@pytest.mark.parametrize(
    "query",
    [
        "filename=cp_0002.prof",
        "filename=../secret.prof",
        "filename=/etc/passwd",
        "filename=notes.txt",
        "filename=cp_0001.prof&sortby=nonsense",
        "sortby=time",
    ],
)
def test_report_of_anything_else_is_404(app_of, profiler, tmp_path, query):
    (tmp_path / "secret.prof").write_bytes(b"x")
    (tmp_path / "profiles" / "notes.txt").write_bytes(b"x")
    profiler.run(work, 10)
    app_of(profiler).get(f"/report?{query}", status=404)


@pytest.mark.parametrize("aggregate", [False, True])
def test_requests_to_any_application_are_profiled(tmp_path, aggregate):
    from webtest import TestApp

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield str(work(10)).encode()

    profiled = make_app(app, tmp_path, aggregate)
    for _ in range(2):
        assert TestApp(profiled).get("/").text == "45"
    assert len(profiled.profiler.statfiles()) == (1 if aggregate else 2)
    assert "(work)" in profiled.profiler.stats("cp_0001.prof")
