"""Traces argument values to their sources: the stored sources, the search in them, and the policy.

Open `policy.py` for `TrustedOrigins`, `tracing.py` for how the arguments of a call are traced, `index.py` for the search for one value, and
`holding.py` for the stored form of a source.
"""

from .index import Index, Origin
from .policy import TrustedOrigins

__all__ = ["Index", "Origin", "TrustedOrigins"]
