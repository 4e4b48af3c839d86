"""Interlock: the model proposes, the graph disposes.

Workflows are LangGraph state machines. What a model may call next is read off the graph's edges, checked again where the tool
runs, and every step is kept in SQL, apart from the conversation.

The public names are in `__init__.pyi`, grouped as a reader would look for them. A name's module is imported when the name is
first used, so that `import interlock` alone costs little.
"""

import lazy_loader as _lazy

from ._version import __version__

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
