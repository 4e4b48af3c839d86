"""The console: pages for people, rendered on the server. Open `pages.py` first.

Every page works without its script, loads nothing from other servers, and shows only data that the API shows to the same person.
"""

from .console import add_console

__all__ = ["add_console"]
