"""Tool contracts: what a tool is called, takes, returns and may do, and how one is made of a function or a schema.

Open `contract.py` first.
"""

from ..schemas.input import Bound
from .contract import ToolContract
from .decorators import command, event, read
from .published_shape import ContractShape, ToolAnnotations
from .undo import CompletedCall, Undo

__all__ = [
    "Bound", "CompletedCall", "ContractShape", "ToolAnnotations", "ToolContract", "Undo", "command", "event", "read",
]  # fmt: skip
