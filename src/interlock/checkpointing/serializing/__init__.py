"""The default serializer: a value comes back from a checkpoint unchanged, or is refused when it is written.

Here: the serializer (`serializer`), the names of classes (`classes`), rebuilding objects without calling their classes (`states`),
values of the standard library (`values`), arrays (`arrays`), and the classes that a graph declares (`declared`). Not here: cutting
messages out of values, and sealing (`saver`). Open `serializer` first.
"""

from .declared import declared_types
from .serializer import TYPED, TypedSerializer

__all__ = ["TYPED", "TypedSerializer", "declared_types"]
