"""Write statistics for Prometheus: its text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator

from cptoolkit.middleware.observing.counts import Statistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def metrics(statistics: Statistics) -> str:
    """The text that Prometheus reads, each metric with the label ``name`` if there is a name."""
    return "".join(f"{line}\n" for line in _lines(statistics))


def _lines(statistics: Statistics) -> Iterator[str]:
    own = {"name": statistics["name"]} if statistics["name"] else {}

    yield from _head("http_requests_total", "counter", "Requests answered.")
    for method, status, count in statistics["by_method_and_status"]:
        yield _sample("http_requests_total", {**own, "method": method, "status": status}, count)

    yield from _head("http_requests_in_flight", "gauge", "Requests being answered.")
    yield _sample("http_requests_in_flight", own, statistics["in_flight"])

    yield from _head(
        "http_responses_aborted_total", "counter", "Responses that were not taken to their end."
    )
    yield _sample("http_responses_aborted_total", own, statistics["aborted"])

    yield from _head("http_response_body_bytes_total", "counter", "Bytes of response bodies sent.")
    yield _sample("http_response_body_bytes_total", own, statistics["bytes_sent"])

    duration = "http_request_duration_seconds"
    yield from _head(duration, "histogram", "Time from the request to the end of the response.")
    for bound, count in statistics["buckets"]:
        limit = "+Inf" if bound is None else f"{bound:g}"
        yield _sample(f"{duration}_bucket", {**own, "le": limit}, count)
    yield _sample(f"{duration}_sum", own, statistics["seconds"])
    yield _sample(f"{duration}_count", own, statistics["requests"])

    yield from _head("http_start_time_seconds", "gauge", "When counting began, since the epoch.")
    yield _sample("http_start_time_seconds", own, statistics["started"])


def _head(name: str, kind: str, help: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {value!r}" if pairs else f"{name} {value!r}"
