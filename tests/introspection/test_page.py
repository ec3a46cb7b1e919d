"""The page of tools.explain, as a browser on this machine and as strangers see it."""

import re

import pytest

import cptoolkit

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080"}


class Root:
    _cp_config = {"tools.explain.on": True}

    @cptoolkit.expose
    def index(self, **params):
        return f"page {sorted(params)}"

    @cptoolkit.expose
    def item(self, number):
        return "item"


def ask(app_of, path="/?explain", config=None, root=None, method="GET", **environ):
    client = app_of(root or Root(), config)
    client.extra_environ = environ = {**LOCAL, **environ}
    url = f"http://{environ.pop('HTTP_HOST')}{path}"
    return client.request(url, method=method, expect_errors=True)


def text_of(response):
    return " ".join(re.sub("<[^>]*>", " ", response.text.partition("</style>")[2]).split())


def test_wish_is_answered_with_the_page(app_of):
    response = ask(app_of, "/item/5?explain")
    text = text_of(response)
    assert response.status_int == 200
    assert "GET /item/5 of localhost:8080" in text
    assert f"{__name__}.Root.item" in text
    assert "tools.explain.on True _cp_config of class" in text
    assert "URLs of the application" in text


def test_request_without_the_wish_is_served(app_of):
    assert ask(app_of, "/").text == "page []"
    assert ask(app_of, "/?explained=1").text == "page ['explained']"


def test_wish_may_name_another_method(app_of):
    assert "POST /item/5" in text_of(ask(app_of, "/item/5?explain=POST"))


def test_wish_for_what_is_no_method_is_a_parameter(app_of):
    assert ask(app_of, "/?explain=%3Cscript%3E").text == "page ['explain']"


def test_other_parameters_are_kept(app_of):
    text = text_of(ask(app_of, "/item/5?a=%26&explain&b=2"))
    assert "GET /item/5?a=%26&amp;b=2 of" in text
    assert "404: Unexpected query string parameters: a, b" in text


def test_path_that_leads_nowhere_has_its_page_too(app_of):
    text = text_of(ask(app_of, "/itme?explain"))
    assert "404:" in text
    assert "Nearest /item" in text


def test_head_is_answered_without_a_body(app_of):
    response = ask(app_of, method="HEAD")
    assert response.headers["Content-Type"] == "text/html;charset=utf-8"
    assert response.body == b""


def test_other_methods_are_not_answered(app_of):
    assert ask(app_of, method="POST").text == "page ['explain']"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"REMOTE_ADDR": "10.0.0.1"}, id="another machine"),
        pytest.param({"REMOTE_ADDR": ""}, id="no address"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, id="behind a proxy"),
        pytest.param({"HTTP_VIA": "1.1 proxy"}, id="via a proxy"),
        pytest.param({"HTTP_HOST": "evil.example"}, id="another name (DNS rebinding)"),
    ],
)
def test_strangers_get_the_page_handler_s_answer(app_of, environ):
    assert ask(app_of, **environ).text == "page ['explain']"


@pytest.mark.parametrize("environment", ["production", "staging", "embedded"])
def test_tool_does_nothing_where_errors_are_not_shown(app_of, environment):
    cptoolkit.config.update({"environment": environment})
    assert ask(app_of).text == "page ['explain']"


def test_tool_does_nothing_in_production_whatever_else_is_set(app_of):
    cptoolkit.config.update({"environment": "production", "request.show_tracebacks": True})
    client = app_of(Root())
    assert client.get("/?explain", extra_environ=LOCAL).text == "page ['explain']"
    plan = next(iter(client.app.plans._made[1].values()))[0]
    assert "explain" not in repr(plan.before_handler)


def test_strangers_who_must_log_in_have_to_log_in_first(app_of):
    config = {"/": {"tools.auth_basic.on": True, "tools.auth_basic.realm": "r"}}
    config["/"]["tools.auth_basic.checkpassword"] = lambda realm, user, password: False
    assert ask(app_of, config=config).status_int == 401


def test_static_files_do_not_answer_in_its_place(app_of, tmp_path):
    (tmp_path / "a.txt").write_text("file")
    config = {"/f": {"tools.staticdir.on": True, "tools.staticdir.dir": str(tmp_path)}}
    assert ask(app_of, "/f/a.txt", config).text == "file"
    assert "tools.staticdir" in text_of(ask(app_of, "/f/a.txt?explain", config))


def test_page_runs_no_script_and_is_kept_nowhere(app_of):
    headers = ask(app_of).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_style_is_the_one_that_the_policy_allows(app_of):
    import base64
    import hashlib

    response = ask(app_of)
    style = response.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response.headers["Content-Security-Policy"]


def test_what_comes_from_outside_is_escaped(app_of):
    root = Root()
    root._cp_config = {**Root._cp_config, "a.b": "<script>alert(1)</script>"}
    path = "/%3Cimg%20src=x%20onerror=alert(1)%3E?explain&q=%22%3E%3Cscript%3E"
    response = ask(app_of, path, root=root)
    assert "<script" not in response.text
    assert "<img" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text


def test_path_that_is_no_utf8_does_no_harm(app_of):
    assert ask(app_of, "/%FF%FE?explain").status_int == 200


def test_wish_is_the_tool_s_only_where_it_is_on(app_of):
    root = Root()
    root._cp_config = {"tools.explain.on": False}
    assert ask(app_of, root=root).text == "page ['explain']"


def test_page_fits_a_phone(app_of):
    assert '<meta name="viewport" content="width=device-width' in ask(app_of).text
