"""Where the values of arguments come from: what sources hold, how a value is looked for in them, and the policy.

Open `policy.py` for `TrustedOrigins`, `holding.py` for what is kept of a source, and `index.py` for how a value is looked for.
"""

from .index import Index, Origin
from .policy import TrustedOrigins

__all__ = ["Index", "Origin", "TrustedOrigins"]
