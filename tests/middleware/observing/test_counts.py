"""Counts: totals, a histogram and the last ten minutes, from many threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cptoolkit.middleware.observing import counts as stats_counts
from cptoolkit.middleware.observing.counts import SLOT, SLOTS, Counts
from cptoolkit.middleware.observing.exchange import Exchange


def over(seconds=0.002, status=200, method="GET", path="/", sent=10, complete=True, answered=True):
    exchange = Exchange({"REQUEST_METHOD": method, "PATH_INFO": path})
    exchange.duration, exchange.status, exchange.sent = seconds, status, sent
    exchange.complete, exchange.answered = complete, answered
    return exchange


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counts(clock):
    return Counts("mine", clock)


def count(counts, *exchanges):
    for exchange in exchanges:
        counts.begin()
        counts.end(exchange)
    return counts.statistics()


def test_requests_are_counted_by_method_status_and_class(counts):
    found = count(counts, over(), over(status=404), over(method="POST", status=201))
    assert found["requests"] == 3
    assert found["by_method"] == {"GET": 2, "POST": 1}
    assert found["by_status"] == {"200": 1, "201": 1, "404": 1}
    assert found["by_class"] == {"2xx": 2, "4xx": 1}
    assert found["bytes_sent"] == 30


def test_methods_that_clients_invent_count_as_one(counts):
    found = count(counts, *(over(method=f"M{n}") for n in range(50)))
    assert found["by_method"] == {"OTHER": 50}


def test_request_in_flight_is_counted_until_it_is_over(counts):
    counts.begin()
    counts.begin()
    assert counts.statistics()["in_flight"] == 2
    counts.end(over())
    counts.end(over(answered=False))
    assert counts.statistics()["in_flight"] == 0
    assert counts.statistics()["requests"] == 1


def test_response_cut_short_is_counted_if_the_client_did_that(counts):
    failed = over(complete=False)
    failed.error = KeyError()
    assert count(counts, failed)["aborted"] == 0
    assert count(counts, over(complete=False))["aborted"] == 1


def test_buckets_count_all_up_to_their_bound(counts):
    found = count(counts, over(0.0005), over(0.0006), over(99))
    buckets = dict(found["buckets"])
    assert (buckets[0.0005], buckets[0.001], buckets[10.0], buckets[None]) == (1, 2, 2, 3)
    assert found["seconds"] == pytest.approx(99.0011)
    assert found["slowest"] == 99


def test_nothing_is_known_before_the_first_request(counts):
    found = counts.statistics()
    assert (found["requests"], found["p50"], found["slowest"]) == (0, None, 0)
    assert found["history"] == []


def test_history_has_a_moment_for_each_slot(counts, clock):
    count(counts, over(), over(status=500))
    clock.now = 12.0
    count(counts, over())
    clock.now = 15.0
    history = counts.statistics()["history"]
    assert [(moment["requests"], moment["errors"], moment["age"]) for moment in history] == [
        (2, 1, 15),
        (0, 0, 10),
        (1, 0, 5),
    ]
    assert history[1]["p50"] is None


def test_request_at_the_very_end_of_a_slot_is_not_lost(clock):
    clock.now = 123.456  # from where 181 slots are a little less than 181 slots
    counts = Counts("", clock)
    for slots in range(150, 200):
        clock.now = 123.456 + slots * SLOT
        count(counts, over())
    clock.now += 1.5 * SLOT
    assert sum(moment["requests"] for moment in counts.statistics()["history"]) == 50


def test_history_is_bounded(counts, clock):
    for second in range(0, 5000, 3):
        clock.now = float(second)
        counts.begin()
        counts.end(over())
    found = counts.statistics()
    assert len(found["history"]) == SLOTS
    assert sum(moment["requests"] for moment in found["history"]) <= SLOTS * 2
    assert found["requests"] == 1667


def test_only_the_slowest_paths_are_kept(counts):
    found = count(counts, *(over(n / 100, path=f"/{n}") for n in range(1, 101)))
    kept = [slow["path"] for slow in found["slow_paths"]]
    assert kept == [f"/{n}" for n in range(100, 80, -1)]


def test_path_is_kept_once_with_its_slowest_request(counts):
    found = count(counts, over(0.5, 200), over(0.9, 500), over(0.7, 404))
    [slow] = found["slow_paths"]
    assert (slow["path"], slow["seconds"], slow["status"]) == ("/", 0.9, 500)


def test_quick_requests_are_not_slow(counts):
    assert count(counts, over(0.0005))["slow_paths"] == []


def test_long_path_is_cut(counts):
    [slow] = count(counts, over(path="/" + "x" * 10_000))["slow_paths"]
    assert len(slow["path"]) == stats_counts.LONGEST_PATH


def test_slow_request_is_forgotten_after_an_hour(counts, clock, monkeypatch):
    count(counts, over(9.0, path="/old"))
    later = stats_counts.time() + stats_counts.REMEMBERED + 1
    monkeypatch.setattr(stats_counts, "time", lambda: later)
    clock.now = 10.0
    new = over(path="/new")
    new.time = later
    assert [slow["path"] for slow in count(counts, new)["slow_paths"]] == ["/new"]


def test_nothing_is_lost_between_threads(counts):
    def work(_):
        for _ in range(500):
            counts.begin()
            counts.end(over())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = counts.statistics()
    assert (found["requests"], found["in_flight"], found["bytes_sent"]) == (4000, 0, 40_000)
