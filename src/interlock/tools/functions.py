"""Types of the functions that applications pass: rules over a tool's arguments, whose parameters are matched by name."""

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]
"""A check, a preview or a condition: it takes any of the tool's parameters by name, `ctx: ToolContext` and `view: GuardView`. Type checkers
know the parameters of a function with annotations, and not those of a lambda."""
