"""For hosts without an adapter, as a module that has an ``application``."""

from hosted import application

from cptoolkit.embedding import embed

__all__ = ["application"]

embed()
