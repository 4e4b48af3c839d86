"""The default serializer: what goes into a checkpoint comes back as it went in, or is refused when it is written.

Here: the serializer (`serializer`), which classes it may name (`classes`), how it rebuilds their objects without calling them
(`states`), the values of the standard library (`values`), arrays (`arrays`), and what a graph declares (`declared`). Not here:
messages cut out of values, and sealing (`saver`). Open `serializer` first.
"""

from .declared import declared_types
from .serializer import TYPED, TypedSerializer

__all__ = ["TYPED", "TypedSerializer", "declared_types"]
