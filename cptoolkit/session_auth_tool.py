"""The tool ``session_auth``: a form to log in with, before a page or as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cptoolkit import middleware
from cptoolkit.context import current
from cptoolkit.http.errors import NotFound
from cptoolkit.layer_tool import LayerClass, LayerTool
from cptoolkit.toolbox import P


class SessionAuthTool(LayerTool[P]):
    """The layer :class:`~cptoolkit.middleware.SessionAuth` as a tool."""

    def __init__(self, layer: LayerClass[P] = lambda: middleware.SessionAuth) -> None:  # type: ignore[assignment]
        super().__init__("before_request_body", layer, priority=60)

    def handler(self, **options: Any) -> Callable[..., Any]:
        """A page handler that is this tool: its ``do_login``, ``do_logout`` and ``login_screen``.

        :param options: those of the layer; config entries of the tool count over them.
        :raises cptoolkit.NotFound: when called for something else by somebody who has logged in.
        """
        self.check(options)

        def handle(*vpath: Any, **params: Any) -> Any:
            if not self.act(**self._merged_args(options)):
                raise NotFound()
            return current.get()[1].body

        handle.exposed = True  # type: ignore[attr-defined]
        # The layer reads its form itself.
        handle._cp_config = {"request.process_request_body": False}  # type: ignore[attr-defined]
        return handle
