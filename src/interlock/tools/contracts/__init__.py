"""Tool contracts: a tool's name, input, output and permissions, made from a function or a schema.

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
