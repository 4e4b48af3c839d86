"""The console: pages for people, rendered on the server. Open `pages.py` first.

Every page works without its script, loads nothing from elsewhere, and shows nothing that the API would not tell the same person.
"""

from .console import add_console

__all__ = ["add_console"]
