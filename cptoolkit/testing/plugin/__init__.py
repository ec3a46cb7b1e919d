"""What pytest is given to test applications with, by the entry point that it looks for.

Installed beside the package and not in it, as ``pytest_cptoolkit``: pytest imports it at each
start, wherever cptoolkit is installed, and that must not import the package too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cptoolkit.testing import TestApp


@pytest.fixture
def cptoolkit_root() -> Any:
    """What is to be tested. Override it, in a ``conftest.py`` or a test module.

    It gives a class or object with exposed handlers, an Application, a Tree, any WSGI application,
    a function that makes one of these, or the name of one: ``"shop:Root"``.
    """
    pytest.fail(
        "there is nothing to test: override the fixture cptoolkit_root, in a conftest.py or a test"
        " module, to return the class of your pages or your application",
        pytrace=False,
    )


@pytest.fixture
def cptoolkit_config() -> Any:
    """The config of what is to be tested, as for ``quickstart``: none, if not overridden."""
    return None


@pytest.fixture
def _cptoolkit_site() -> Iterator[None]:
    """The site of this process, empty for a test and put back after it."""
    from cptoolkit.testing import fresh_site

    with fresh_site():
        yield


@pytest.fixture
def _cptoolkit_tree(_cptoolkit_site: None, cptoolkit_root: Any, cptoolkit_config: Any) -> Any:
    """What ``cptoolkit_root`` gives, on the site."""
    from cptoolkit.testing.site import place

    return place(cptoolkit_root, cptoolkit_config)


@pytest.fixture
def cptoolkit_app(_cptoolkit_tree: Any) -> TestApp:
    """A client that calls ``cptoolkit_root`` in this process, a ``cptoolkit.testing.TestApp``."""
    from cptoolkit.testing import TestApp

    return TestApp(_cptoolkit_tree)


@pytest.fixture
def cptoolkit_server(_cptoolkit_tree: Any) -> Iterator[str]:
    """The URL, without a slash at its end, at which the bundled server serves ``cptoolkit_root``.

    The engine is started with its plugins, and stopped when the test is over.
    """
    from cptoolkit.testing import served_site

    with served_site() as url:
        yield url
