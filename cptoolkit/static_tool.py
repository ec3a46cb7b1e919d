"""The tools ``staticdir`` and ``staticfile``, which can also be page handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.http.errors import NotFound
from cptoolkit.layer_tool import LayerTool, answer_with

if TYPE_CHECKING:
    from cptoolkit.middleware.files.base import Static


class StaticTool(LayerTool):
    """A layer for files as a tool: it answers in place of the page handler where it has a file.

    :param positional: the names of the options that :meth:`handler` takes by their place.
    """

    def __init__(self, layer: type[Static] | str, positional: Sequence[str] = ()) -> None:
        super().__init__("before_handler", layer)
        self.positional = positional

    def handler(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """A page handler that is this tool: ``css = tools.staticdir.handler("/css", "/srv/css")``.

        :param args: the first options, ``section`` and ``dir`` or ``filename``.
        :param options: the others; config entries of the tool count over them.
        :raises cptoolkit.NotFound: when called, if there is no such file.
        """
        given = {**dict(zip(self.positional, args, strict=False)), **options}
        self.check(given)

        def handle(*vpath: Any, **params: Any) -> Any:
            if not self.answer(**self._merged_args(given)):
                raise NotFound()
            return current.get()[1].body

        handle.exposed = True  # type: ignore[attr-defined]
        return handle

    def answer(self, **options: Any) -> bool:
        """Make the current response an answer with a file.

        :returns: whether there is such a file.
        """
        request = current.get()[0]
        assert request.app is not None
        answer = self.made(request.app, options).before(request)
        if answer is None:
            return False
        answer_with(answer)
        return True
