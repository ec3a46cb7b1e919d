from __future__ import annotations

import pytest

import cptoolkit
from cptoolkit.session_auth_tool import SessionAuthTool


def check(username, password):
    return None if (username, password) == ("joe", "secret") else "Wrong."


class Root:
    @cptoolkit.expose
    def index(self):
        return f"Hello {cptoolkit.request.login}!"


@pytest.fixture
def client(app_of):
    tool = cptoolkit.tools.login = SessionAuthTool()
    root = Root()
    root.account = tool.handler(check_username_and_password=check)
    inside = {"tools.login.on": True, "tools.login.check_username_and_password": check}
    return app_of(root, {"/": {"tools.sessions.on": True}, "/private": inside})


def test_page_that_is_the_tool_shows_the_form_and_logs_in(client):
    form = client.get("/account/login_screen").form
    form["username"], form["password"] = "joe", "wrong"
    again = form.submit()
    assert "Wrong." in again
    form["password"] = "secret"
    assert form.submit().status_int == 303
    client.get("/account/other", status=404)


def test_unknown_option_is_refused_when_the_page_is_made():
    cptoolkit.tools.login = SessionAuthTool()
    with pytest.raises(ValueError, match="no option 'chek'"):
        cptoolkit.tools.login.handler(chek=check)
