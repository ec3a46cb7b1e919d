"""The tools ``staticdir`` and ``staticfile``, which can also be page handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cptoolkit.context import current
from cptoolkit.http.errors import NotFound
from cptoolkit.layer_tool import LayerClass, LayerTool
from cptoolkit.toolbox import P


class StaticTool(LayerTool[P]):
    """A layer for files as a tool: it answers in place of the page handler where it has a file.

    :param positional: the names of the options that :meth:`handler` and :meth:`act` take by their
        place.
    """

    def __init__(self, layer: LayerClass[P], positional: Sequence[str] = ()) -> None:
        super().__init__("before_handler", layer, positional=positional)

    def handler(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """A page handler that is this tool: ``css = tools.staticdir.handler("/css", "/srv/css")``.

        :param args: the first options, ``section`` and ``dir`` or ``filename``.
        :param options: the others; config entries of the tool count over them.
        :raises cptoolkit.NotFound: when called, if there is no such file.
        """
        given = {**dict(zip(self.positional, args, strict=False)), **options}
        self.check(given)

        def handle(*vpath: Any, **params: Any) -> Any:
            if not self.act(**self._merged_args(given)):
                raise NotFound()
            return current.get()[1].body

        handle.exposed = True  # type: ignore[attr-defined]
        return handle
