"""The Model Context Protocol, both ways: tools of MCP servers as contracts, and workflows offered to MCP clients.

`client/` makes contracts of a server's tools and keeps its lock file; `server/` serves workflows. Open `client/tools.py` first. The
official SDK comes with the extra `langgraph-interlock[mcp]` and is imported when it is used.

The public names are in `__init__.pyi`. A name's module is imported when the name is first used.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
