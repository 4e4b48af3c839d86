"""Markers on the fields of tools: whose a value is, and what an argument decides.

Open `markers.py` for the markers, and `fields.py` for reading them off a contract.
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
