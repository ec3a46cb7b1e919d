"""The body of a response, closed or collected."""

from __future__ import annotations

from typing import Any

from webob import Response

from cptoolkit.middleware.layer import replace_body


def close(body: Any) -> None:
    """Close a body, if it is one that wants to be closed (PEP 3333)."""
    closing = getattr(body, "close", None)
    if closing is not None:
        closing()


def collect(response: Response) -> bytes:
    """Draw the body of a response to its end, and put that in its place as a list.

    :returns: the whole body.
    """
    body = response.app_iter
    replace_body(response, [])  # so that nobody closes it once more if it fails
    try:
        whole = b"".join(body)
    finally:
        close(body)
    replace_body(response, [whole])
    return whole
