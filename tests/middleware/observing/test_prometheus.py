"""The text that Prometheus reads, version 0.0.4 of its exposition format."""

import re

from cptoolkit.middleware.observing.counts import Counts
from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.prometheus import metrics

SAMPLE = re.compile(
    r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? ([0-9.e+-]+)', re.ASCII
)


def text_of(name="", *statuses):
    counts = Counts(name)
    for status in statuses:
        exchange = Exchange({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
        exchange.answered, exchange.status, exchange.duration = True, status, 0.003
        counts.begin()
        counts.end(exchange)
    return metrics(counts.statistics())


def test_each_line_is_a_comment_or_a_sample():
    lines = text_of("x", 200, 404).splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line) for line in lines)


def test_each_sample_has_its_help_and_type_before_it():
    told = set()
    for line in text_of("x", 200).splitlines():
        if line.startswith("# TYPE"):
            told.add(line.split()[2])
        elif not line.startswith("#"):
            name = re.sub("_(bucket|sum|count)$", "", SAMPLE.match(line)[1])
            assert name in told


def test_requests_have_method_and_status():
    assert 'http_requests_total{method="GET",status="404"} 2\n' in text_of("", 200, 404, 404)


def test_buckets_add_up_to_the_count():
    text = text_of("", 200, 200)
    assert 'http_request_duration_seconds_bucket{le="0.0025"} 0\n' in text
    assert 'http_request_duration_seconds_bucket{le="0.005"} 2\n' in text
    assert 'http_request_duration_seconds_bucket{le="+Inf"} 2\n' in text
    assert "http_request_duration_seconds_count 2\n" in text
    assert "http_request_duration_seconds_sum 0.006\n" in text


def test_name_is_an_escaped_label():
    assert r'http_requests_in_flight{name="a\"\\\n"} 0' in text_of('a"\\\n')


def test_text_ends_with_a_line_end():
    assert text_of().endswith("\n")
