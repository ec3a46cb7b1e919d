"""RateLimit: so many requests of each client, and no more."""

import re

import pytest
from webob import Response

import cptoolkit
from cptoolkit.middleware import Cache
from cptoolkit.middleware.forwarding.proxy import Proxy
from cptoolkit.middleware.rate_limit import RateLimit, client_network
from cptoolkit.middleware.rate_stores import MemoryRates, RateStore, RatesUnavailable


class Clock:
    now = 0

    def __call__(self):
        return self.now


class Broken(RateStore):
    def take(self, key, interval, capacity):
        raise RatesUnavailable


class Recording(MemoryRates):
    """Keeps the keys that it is asked for."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def take(self, key, interval, capacity):
        self.keys.append(key)
        return super().take(key, interval, capacity)


def view(request):
    return Response(f"{request.method} served")


def statuses(site, number, **request):
    return [site.fetch(**request).status_int for _ in range(number)]


def test_answer_that_a_cache_has_kept_tells_each_client_its_own_rest(alone):
    def cached(app):  # with what the inner one has told the first client
        return RateLimit(Cache(RateLimit(app, limit="3/minute")), limit="3/minute", store=store)

    store = MemoryRates(clock=Clock())
    site = alone(view, Cache, around=cached)
    told = [site.fetch(REMOTE_ADDR=f"192.0.2.{n}").headers.getall("RateLimit") for n in (1, 1, 2)]
    assert told == [['"default";r=2;t=20'], ['"default";r=1;t=20'], ['"default";r=2;t=20']]


def test_client_without_a_limit_is_told_no_other_ones_rest(alone):
    def by(request):
        return request.environ.get("HTTP_X_CLIENT")

    def cached(app):
        return RateLimit(Cache(app), key=by)

    site = alone(view, RateLimit, key=by, around=cached)
    assert "RateLimit" in site.fetch(HTTP_X_CLIENT="a").headers
    answer = site.fetch()
    assert "Age" in answer.headers
    assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)


def test_limit_that_does_not_count_leaves_what_another_one_of_its_name_tells(alone):
    site = alone(view, RateLimit, around=lambda app: RateLimit(app, methods="POST"))
    assert "RateLimit" in site.fetch().headers


def test_client_that_sends_more_than_the_limit_is_refused(host):
    site = host(view, RateLimit, limit="2/hour")
    assert statuses(site, 3) == [200, 200, 429]
    refused = site.fetch()
    assert 1795 <= int(refused.headers["Retry-After"]) <= 1800
    assert "too many requests" in refused.text


def test_other_clients_are_served(host):
    site = host(view, RateLimit, limit="1/hour")
    assert statuses(site, 2, REMOTE_ADDR="192.0.2.1") == [200, 429]
    assert statuses(site, 2, REMOTE_ADDR="192.0.2.2") == [200, 429]


def test_answers_tell_what_is_left(host):
    site = host(view, RateLimit, limit="2/minute", store=MemoryRates(clock=Clock()))
    answers = [site.fetch() for _ in range(3)]
    assert [answer.headers["RateLimit"] for answer in answers] == [
        '"default";r=1;t=30',
        '"default";r=0;t=30',
        '"default";r=0;t=30',
    ]
    assert [a.headers["RateLimit-Policy"] for a in answers] == ['"default";q=2;w=60'] * 3
    assert answers[2].headers["Retry-After"] == "30"


def test_request_that_is_handed_on_within_the_server_counts_once(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            raise cptoolkit.InternalRedirect("/there")

        @cptoolkit.expose
        def there(self):
            return "there"

    limit = {"on": True, "limit": "9/minute", "store": MemoryRates(clock=Clock())}
    config = {f"tools.rate_limit.{name}": value for name, value in limit.items()}
    client = app_of(Root(), {"/": config})
    for left in (8, 7):
        assert client.get("/").headers["RateLimit"].startswith(f'"default";r={left};')


def test_head_has_the_fields_of_get(host):
    site = host(view, RateLimit, limit="9/minute", store=MemoryRates(clock=Clock()))
    assert site.fetch(method="HEAD").headers["RateLimit"] == '"default";r=8;t=7'


def test_answers_tell_nothing_where_they_shall_not(host):
    site = host(view, RateLimit, limit="1/hour", headers=False)
    for answer in (site.fetch(), site.fetch()):
        assert "RateLimit" not in answer.headers
        assert "RateLimit-Policy" not in answer.headers
    assert "Retry-After" in answer.headers


def test_only_the_methods_that_are_named_count(host):
    site = host(view, RateLimit, limit="1/hour", methods=["post"])
    assert statuses(site, 3) == [200] * 3
    assert statuses(site, 2, method="POST") == [200, 429]
    assert "RateLimit" not in site.fetch().headers


def test_requests_count_by_a_key_of_ones_own(host):
    def user(request):
        return request.environ.get("HTTP_X_USER")

    site = host(view, RateLimit, limit="1/hour", key=user)
    assert statuses(site, 2, headers={"X-User": "ann"}) == [200, 429]
    assert statuses(site, 2, headers={"X-User": "bob"}) == [200, 429]
    assert statuses(site, 3) == [200] * 3


def test_guesses_at_one_password_are_limited_from_all_addresses(alone):
    """A login form: each user name so many tries, wherever they come from."""

    def name_of_login(request):
        return request.GET.get("name") if request.path_info == "/login" else None

    site = alone(view, RateLimit, limit="3/hour", methods="POST", key=name_of_login)
    tries = [
        site.fetch("/login?name=ann", "POST", REMOTE_ADDR=f"192.0.2.{n}").status_int
        for n in range(5)
    ]
    assert tries == [200, 200, 200, 429, 429]
    assert site.fetch("/login?name=bob", "POST").status_int == 200


@pytest.mark.parametrize(
    ("fail", "status"), [("open", 200), ("closed", 503)], ids=["open", "closed"]
)
def test_store_that_fails_serves_everybody_or_nobody(host, fail, status):
    answer = host(view, RateLimit, store=Broken(), fail=fail).fetch()
    assert answer.status_int == status
    assert answer.headers.get("Retry-After") == (None if fail == "open" else "1")
    assert "RateLimit" not in answer.headers


def test_client_behind_a_proxy_counts_by_its_own_address(alone):
    site = alone(view, RateLimit, limit="1/hour", around=lambda app: Proxy(app))
    assert statuses(site, 2, headers={"X-Forwarded-For": "192.0.2.1"}) == [200, 429]
    assert statuses(site, 2, headers={"X-Forwarded-For": "192.0.2.2"}) == [200, 429]
    assert statuses(site, 1, headers={"X-Forwarded-For": "192.0.2.9, 192.0.2.1"}) == [429]


def test_two_limits_are_told_together(alone):
    def inner(app):
        return RateLimit(app, limit="100/day", name="daily", store=MemoryRates(clock=Clock()))

    site = alone(view, RateLimit, limit="1/second", store=MemoryRates(clock=Clock()), around=inner)
    answer = site.fetch()
    assert answer.headers.getall("RateLimit") == ['"default";r=0;t=1', '"daily";r=99;t=864']
    assert answer.headers.getall("RateLimit-Policy") == [
        '"default";q=1;w=1',
        '"daily";q=100;w=86400',
    ]


@pytest.mark.parametrize(
    ("limit", "burst", "policy"),
    [
        ("100/minute", None, "q=100;w=60"),
        ("1/second", None, "q=1;w=1"),
        ("5 / 10 minutes", None, "q=5;w=600"),
        ("1000/day", None, "q=1000;w=86400"),
        ((10, 2.5), None, "q=10;w=3"),
        ("60/minute", 5, "q=5;w=5"),
    ],
)
def test_limit_says_number_and_time(alone, limit, burst, policy):
    answer = alone(view, RateLimit, limit=limit, burst=burst).fetch()
    assert answer.headers["RateLimit-Policy"] == f'"default";{policy}'


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("peer", "peer"),
    ],
)
def test_client_counts_by_what_it_cannot_change(address, network):
    assert client_network(address) == network


def test_long_keys_do_not_fill_the_store(alone):
    store = Recording()
    site = alone(view, RateLimit, key=lambda request: "k" * 100_000, store=store)
    site.fetch()
    assert len(store.keys[0]) < 100


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": "many"}, ValueError, "limit must be such as '100/minute' or (100, 60), got"),
        ({"limit": "0/second"}, ValueError, "limit must be"),
        ({"limit": (1, 0)}, ValueError, "limit must be"),
        ({"limit": (1.5, 1)}, ValueError, "limit must be"),
        ({"limit": (1, float("nan"))}, ValueError, "limit must be"),
        ({"limit": 5}, ValueError, "limit must be"),
        ({"burst": 0}, ValueError, "burst must be 1 or more requests, got 0"),
        ({"key": "address"}, TypeError, "key must be a function of the request, got 'address'"),
        ({"name": 'a"b'}, ValueError, "name must be of letters, digits"),
        ({"fail": "ajar"}, ValueError, "fail must be 'open' or 'closed', got 'ajar'"),
        ({"store": "localhost"}, ValueError, "such as 'redis://localhost/0', got one of"),
        ({"store": 5}, TypeError, "store must be a RateStore, the URL of a Redis or None, got 5"),
    ],
)
def test_wrong_option_is_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        RateLimit(None, **options)


@pytest.mark.parametrize("layer", [Cache, RateLimit])
def test_refused_url_does_not_show_its_password(layer):
    with pytest.raises(ValueError, match="got one of 'redi'") as refused:
        layer(None, store="redi://user:secret@localhost/0")
    assert "secret" not in str(refused.value)


def test_limit_holds_in_redis_and_goes_on_without(alone, redis_server):
    pytest.importorskip("redis", reason="needs redis")
    site = alone(view, RateLimit, limit="2/hour", store=redis_server.url, name="with-redis")
    layer = site.app
    while not isinstance(layer, RateLimit):
        layer = layer.__closure__[0].cell_contents
    assert statuses(site, 3) == [200, 200, 429]
    redis_server.stop()
    try:
        assert statuses(site, 3) == [200] * 3
    finally:
        redis_server.start()
        layer._store.close()


# In an Application


class Root:
    _cp_config = {"tools.rate_limit.on": True, "tools.rate_limit.limit": "1/hour"}

    @cptoolkit.expose
    def index(self):
        return "served"

    @cptoolkit.expose
    @cptoolkit.tools.rate_limit(limit="2/hour", name="other")
    def other(self):
        return "served"


def test_pages_of_one_config_share_a_limit_and_others_have_their_own(app_of):
    client = app_of(Root())
    assert [client.get("/", status="*").status_int for _ in range(2)] == [200, 429]
    assert [client.get("/other", status="*").status_int for _ in range(3)] == [200, 200, 429]


def test_refused_login_costs_no_body(app_of):
    """The limit comes before the body is read."""
    client = app_of(Root(), {"/": {"tools.rate_limit.limit": "1/hour"}})
    assert client.post("/", {}, status=200)
    answer = client.post("/", b"{", {"Content-Type": "multipart/form-data"}, status="*")
    assert answer.status_int == 429


def test_clients_address_is_the_proxys_word(app_of):
    client = app_of(Root(), {"/": {"tools.proxy.on": True}})
    for address in ("192.0.2.1", "192.0.2.2"):
        assert client.get("/", headers={"X-Forwarded-For": address}).status_int == 200
