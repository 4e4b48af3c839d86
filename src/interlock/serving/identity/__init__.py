"""Who sends a request: bearer tokens, a browser's session, a development mode, and which proxies are believed. Open `callers.py` first."""

from .callers import Caller, Callers, PrincipalOf, Unauthenticated
from .development import Development
from .tokens import Tokens

__all__ = ["Caller", "Callers", "Development", "PrincipalOf", "Tokens", "Unauthenticated"]
