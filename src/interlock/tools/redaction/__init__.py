"""Masks secrets in everything that is shown or stored: by field name, and wherever else the values of such fields occur.

Here: which fields are masked (`_fields`), how such a field is found in a text (`_quoted`), and the values that were found (`_values`).
Not here: making a text safe to display, which `sinks` does. Open `_fields` first.
"""

from ._fields import is_named, is_secret, redact
from ._quoted import MASK, hide_fields
from ._values import SHORTEST_LEARNED, Secrets

__all__ = ["MASK", "SHORTEST_LEARNED", "Secrets", "hide_fields", "is_named", "is_secret", "redact"]
