"""Converts contracts to LangChain tools and back.

`as_tool` makes a LangChain tool from a contract, `contract_from_tool` a contract from a LangChain tool. `_arguments` reads the
input of such a tool, `_injection` fills the parameters that the application supplies, and `_running` runs the tool. LangChain is
imported only when one of these functions is called.
"""

from ._as_tool import as_tool
from ._conversion import contract_from_tool
from ._surroundings import inside

__all__ = ["as_tool", "contract_from_tool", "inside"]
