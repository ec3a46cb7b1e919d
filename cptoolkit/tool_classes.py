"""The classes of tools that come with the toolkit, under the names of CherryPy's ``_cptools``."""

from __future__ import annotations

from cptoolkit.caching_tool import CachingTool
from cptoolkit.default_tools import tools as default_toolbox
from cptoolkit.session_auth_tool import SessionAuthTool
from cptoolkit.session_tool import SessionsTool as SessionTool

__all__ = ["CachingTool", "SessionAuthTool", "SessionTool", "default_toolbox"]
