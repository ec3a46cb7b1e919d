"""The page that asks for a name and a password, for those who have none of their own."""

from __future__ import annotations

from html import escape

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in</title>
<style>
body {{ font: 1rem/1.5 sans-serif; max-width: 20rem; margin: 4rem auto; padding: 0 1rem; }}
label {{ display: block; margin-top: 1rem; }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .4rem; }}
button {{ margin-top: 1.5rem; }}
[role=alert] {{ border-left: .25rem solid #b00020; padding-left: .75rem; }}
</style>
</head>
<body>
<main>
<h1>Log in</h1>
{message}<form method="post" action="{action}">
<label for="username">Name</label>
<input id="username" name="username" value="{username}" autocomplete="username" \
autocapitalize="none" spellcheck="false" required{focus_username}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" \
required{focus_password}>
<input type="hidden" name="from_page" value="{from_page}">
<button>Log in</button>
</form>
</main>
</body>
</html>
"""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none';"
    " form-action 'self'"
)
"""The Content-Security-Policy of the page: it loads nothing, and stands in no frame of others."""


def login_page(action: str, from_page: str, username: str = "", error_msg: str = "") -> str:
    """The page as HTML.

    :param action: the path that the form is sent to.
    :param from_page: the path to go on to.
    :param username: what has been tried already.
    :param error_msg: what was wrong with it.
    """
    return PAGE.format(
        action=escape(action),
        from_page=escape(from_page),
        username=escape(username),
        message=f'<p role="alert">{escape(error_msg)}</p>\n' if error_msg else "",
        focus_username="" if username else " autofocus",
        focus_password=" autofocus" if username else "",
    )
