"""Markers on the fields of tools: who controls a value, and what an argument decides.

Open `markers.py` for the markers, and `fields.py` for reading them from a contract.
"""

from .fields import EACH, MarkedField, marked_fields
from .markers import KEYWORD, Content, Id, Label, Mark, MarkKind, Outside, Own, Reaches

__all__ = [
    "EACH",
    "KEYWORD",
    "Content",
    "Id",
    "Label",
    "Mark",
    "MarkKind",
    "MarkedField",
    "Outside",
    "Own",
    "Reaches",
    "marked_fields",
]
