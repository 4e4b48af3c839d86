"""Keeping secrets out of what is shown and written down: by the fields that they are in, and by their values elsewhere.

Here: which fields are masked (`_fields`), where such a field is in a text (`_quoted`), and what was once seen in one (`_values`).
Not here: what is done with a text so that it can be shown at all, which is `sinks`. Open `_fields` first.
"""

from ._fields import is_named, is_secret, redact
from ._quoted import MASK, hide_fields
from ._values import SHORTEST_LEARNED, Secrets

__all__ = ["MASK", "SHORTEST_LEARNED", "Secrets", "hide_fields", "is_named", "is_secret", "redact"]
