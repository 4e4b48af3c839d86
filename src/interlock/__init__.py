"""Interlock: the model proposes, the graph disposes."""

from ._version import __version__

__all__ = ["__version__"]
