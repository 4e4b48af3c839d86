"""Between contracts and LangChain tools, both ways.

`as_tool` makes a LangChain tool of a contract, `contract_from_tool` a contract of a LangChain tool. What such a tool takes is in
`_arguments`, what its application gives it in `_injection`, and how it is run in `_running`. LangChain is imported when one of
these is called, not before.
"""

from ._as_tool import as_tool
from ._conversion import contract_from_tool
from ._surroundings import inside

__all__ = ["as_tool", "contract_from_tool", "inside"]
