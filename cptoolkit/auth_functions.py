"""Authentication for programs that call it themselves, in a page handler or a hook of their own.

Each function lets the current request pass, or raises what answers it.
"""

from __future__ import annotations

from collections.abc import Callable

from cptoolkit.context import current
from cptoolkit.middleware.auth.basic import BasicAuth, CheckPassword
from cptoolkit.middleware.auth.digest import DigestAuth


def basic_auth(
    realm: str, checkpassword: CheckPassword, debug: bool = False, accept_charset: str = "utf-8"
) -> None:
    """Do for the current request what :class:`~cptoolkit.middleware.auth.basic.BasicAuth` does.

    :raises webob.exc.HTTPUnauthorized: if it has no credentials, or wrong ones.
    :raises webob.exc.HTTPBadRequest: if it has some that cannot be read.
    """
    layer = BasicAuth(
        realm=realm, checkpassword=checkpassword, debug=debug, accept_charset=accept_charset
    )
    layer.before(current.get()[0])


def digest_auth(
    realm: str,
    get_ha1: Callable[..., str | None],
    key: str | bytes | None = None,
    debug: bool = False,
    accept_charset: str = "utf-8",
) -> None:
    """Do for the current request what :class:`~cptoolkit.middleware.auth.digest.DigestAuth` does.

    :raises webob.exc.HTTPUnauthorized: if it has no credentials, or wrong ones.
    :raises webob.exc.HTTPBadRequest: if it has some that cannot be read, or are for another URI.
    """
    layer = DigestAuth(
        realm=realm, get_ha1=get_ha1, key=key, debug=debug, accept_charset=accept_charset
    )
    request, response = current.get()
    layer.before(request)
    layer.after(request, response)
