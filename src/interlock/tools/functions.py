"""Functions that applications hand in, as types: rules over a tool's arguments, whose parameters are found by name."""

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]
"""A check, a preview or a condition: it takes any of the tool's parameters by name, `ctx: ToolContext` and `view: GuardView`. Type checkers
know the parameters of a function with annotations, and not those of a lambda."""
