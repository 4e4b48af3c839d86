"""Traces argument values to their sources: the stored sources, the search in them, and the policy.

Open `policy.py` for `TrustedOrigins`, `holding.py` for the stored form of a source, and `index.py` for the search.
"""

from .index import Index, Origin
from .policy import TrustedOrigins

__all__ = ["Index", "Origin", "TrustedOrigins"]
