"""URLs that somebody configured, taken apart.

Here: the parts of a URL, or an error that says which setting holds none. Not here: what a URL may be for, which its user checks. Open `_parts`.
"""

from ._parts import parts_of

__all__ = ["parts_of"]
