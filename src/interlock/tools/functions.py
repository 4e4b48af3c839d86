"""Functions that applications hand in, as types: rules over a tool's arguments, whose parameters are found by name."""

from collections.abc import Callable
from typing import Any

# The narrower ones come first, so that type checkers give the parameters of a lambda a type.
Rule = Callable[[], Any] | Callable[[Any], Any] | Callable[[Any, Any], Any] | Callable[..., Any]
"""A check, a preview or a condition: it takes any of the tool's parameters by name, `ctx: ToolContext` and `view: GuardView`."""
