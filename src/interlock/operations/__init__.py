"""Operations on workflow instances from outside the graph: reading, deciding, delivering events, enforcing deadlines, stepping.

Open `instances.py` first.

The public names are in `__init__.pyi`. A name's module is imported when the name is first used.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
