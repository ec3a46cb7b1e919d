"""Whether a form was sent by a page of this site: the defence against forged requests.

A page of another site can have a browser send a form here, cookies and all (CSRF). But the browser
says where it comes from, and no page can change that: ``Sec-Fetch-Site`` (W3C Fetch Metadata),
``Origin`` (RFC 6454, section 7) and ``Referer`` (RFC 9110, section 10.1.3). Going by these needs
no token, hence no session before there is a user, and works with forms of any make.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from webob import Request

from cptoolkit.middleware.forwarding.forwarded import DEFAULT_PORTS


def is_same_origin(request: Request) -> bool:
    """Whether a request was made by a page of the same origin, or by no page at all.

    The first of the three fields that is there decides. None of them means a client that is no
    browser, which nobody can make send what it does not want to. A page of another host under
    the same domain is not of the same origin, nor is one over plain HTTP if this is HTTPS.

    Behind a proxy that changes ``Host``, the layer
    :class:`~cptoolkit.middleware.forwarding.proxy.Proxy` has to stand outside.
    """
    environ = request.environ
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in ("same-origin", "none")
    source = environ.get("HTTP_ORIGIN", environ.get("HTTP_REFERER"))
    if source is None:
        return True
    try:
        origin = urlsplit(source)
    except ValueError:
        return False
    if environ["wsgi.url_scheme"] == "https" and origin.scheme != "https":
        return False
    # A server behind one that does TLS may think that all is plain HTTP: what the port stands
    # for is the scheme of the page.
    port = f":{DEFAULT_PORTS.get(origin.scheme, '')}"
    here, there = request.host.lower(), origin.netloc.lower()
    return here.removesuffix(port) == there.removesuffix(port)
