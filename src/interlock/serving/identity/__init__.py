"""Identifies callers: bearer tokens, browser sessions, a development mode, and trusted proxies. Open `callers.py` first."""

from .callers import Caller, Callers, PrincipalOf, Unauthenticated
from .development import Development
from .tokens import Tokens

__all__ = ["Caller", "Callers", "Development", "PrincipalOf", "Tokens", "Unauthenticated"]
