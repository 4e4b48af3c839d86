"""Pictures for people: diagrams of a workflow, timelines, comparisons, and the approval card.

Open `picture.py` first: it draws a workflow with its current state. `use_theme("dark")` chooses dark colours.
"""

from .themes import use_theme

__all__ = ["use_theme"]
