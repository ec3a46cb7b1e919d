"""The page of statistics: whole, harmless, and without anything from elsewhere."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.observing import page as stats_page
from cptoolkit.middleware.observing.counts import SLOTS, Counts
from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.plots import bar, plot, round_up

VOID = {"meta"}


class Checked(HTMLParser):
    """Notes elements and texts, and that what is opened is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def page(name="", paths=(), seconds=0.25):
    now = [0.0]
    counts = Counts(name, lambda: now[0])
    for path in paths:
        exchange = Exchange({"REQUEST_METHOD": "GET", "PATH_INFO": path})
        exchange.answered = exchange.complete = True
        exchange.status, exchange.duration, exchange.sent = 503, seconds, 1_234_567
        counts.begin()
        counts.end(exchange)
    now[0] = 7.0
    return stats_page.page(counts.statistics(), "_stats")


def test_page_tells_what_was_counted():
    checked = Checked(page("shop", ["/basket", "/&lt;"]))
    texts = "|".join(checked.texts)
    for told in (
        "&lt;",
        "Statistics of shop",
        "100.00%",
        "2.47 MB",
        "250 ms",
        "GET /basket",
        "503",
    ):
        assert told in texts


def test_page_without_requests_is_whole():
    assert "No requests yet." in Checked(page()).texts


def test_nothing_is_run_or_loaded():
    checked = Checked(page("x", ["/"]))
    names = {tag for tag, _ in checked.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    links = [attributes["href"] for tag, attributes in checked.seen if tag == "a"]
    assert links == ["_stats?format=json", "_stats/metrics"]
    assert not any("style" in a or any(n.startswith("on") for n in a) for _, a in checked.seen)


def test_page_loads_itself_anew():
    refresh = {"http-equiv": "refresh", "content": "5"}
    assert ("meta", refresh) in Checked(page()).seen


def test_policy_lets_the_style_of_the_page_pass():
    style = re.search("<style>(.*?)</style>", page(), re.DOTALL)[1]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in stats_page.POLICY
    assert "default-src 'none'" in stats_page.POLICY


@pytest.mark.parametrize("text", ["<script>x</script>", '"><b onload=x>', "&lt;"])
def test_what_clients_send_is_text(text):
    checked = Checked(page(text, ["/" + text]))
    assert f"Statistics of {text}" in checked.texts
    assert not {"script", "b"} & {tag for tag, _ in checked.seen}


@given(
    st.dictionaries(
        st.sampled_from(["one", "two"]),
        st.lists(st.none() | st.floats(0, 1), max_size=SLOTS),
        min_size=1,
    )
)
def test_plot_stays_within_its_frame(lines):
    drawn = plot(lines, ["1", "0"])
    for path in re.findall(' d="([^"]*)"', drawn):
        for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path):
            assert 0 <= float(x) <= 1000
            assert 0 <= float(y) <= 100


def test_gap_interrupts_the_line():
    drawn = plot({"one": [0.5, 0.5, None, 0.5]}, ["1", "0"])
    path = re.search(' d="([^"]*)"', drawn)[1]
    assert [path.count("M"), path.count("L")] == [2, 1]


@pytest.mark.parametrize(
    ("value", "rounded"), [(0, 1), (1, 1), (1.1, 2), (3, 5), (6, 10), (11, 20), (999, 1000)]
)
def test_scale_ends_at_a_round_number(value, rounded):
    assert round_up(value) == rounded


def test_bar_fills_its_share():
    assert 'width="37.50"' in bar(0.375)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (12, "12 s"), (1.5, "1.5 s"), (0.25, "250 ms"), (0.0012, "1.2 ms"),
     (0.0005, "500 µs"), (1234, "1,234 s")],
)  # fmt: skip
def test_time_has_a_unit_that_suits_it(seconds, text):
    assert stats_page._seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB"), (3e15, "3,000 TB")],
)  # fmt: skip
def test_bytes_have_a_unit_that_suits_them(count, text):
    assert stats_page._bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (125, "2 min 5 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")]
)
def test_span_has_two_units(seconds, text):
    assert stats_page._span(seconds) == text
