"""Test an application of one's own: in process, or over a real server (reference, 5.13).

``TestApp`` calls it in this process, with WebTest. ``CPWebCase`` is for tests in unittest's style
and starts the site with a server. What pytest knows of both is in the module ``pytest_cptoolkit``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptoolkit.middleware.lazy import exports

if TYPE_CHECKING:
    from cptoolkit.testing.cp_web_case import CPWebCase
    from cptoolkit.testing.in_process import TestApp
    from cptoolkit.testing.site import fresh_site, served_site
    from cptoolkit.testing.web_case import WebCase

__all__ = ["CPWebCase", "TestApp", "WebCase", "fresh_site", "served_site"]

HOMES = {
    "CPWebCase": "cp_web_case",
    "TestApp": "in_process",
    "WebCase": "web_case",
    "fresh_site": "site",
    "served_site": "site",
}
"""The module that each name is in. None is imported before it is asked for: WebTest is optional."""

__getattr__ = exports(__name__, HOMES)
