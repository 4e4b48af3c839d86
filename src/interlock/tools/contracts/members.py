"""Errors for attributes that users expect on a class because other libraries have them there."""

from collections.abc import Mapping

from ..errors import DefinitionError

OF_TOOLS = dict.fromkeys(
    ("invoke", "ainvoke", "run", "arun", "func", "args_schema"),
    "Call it like its function, or pass contract.as_tool() where LangChain wants a tool: both run without gate, approval and record.",
)
"""Attributes of LangChain's tools that contracts do not have."""


class MissingMemberError(DefinitionError, AttributeError):
    """A class has no attribute of this name; the message names the equivalent."""


def missing(owner: object, name: str, instead: Mapping[str, str]) -> AttributeError:
    """Return the error for a missing attribute.

    Args:
        owner: The object.
        name: The attribute.
        instead: The equivalents of attributes that other libraries have.
    """
    kind = type(owner).__name__
    if name not in instead:
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    return MissingMemberError(f"A {kind} has no {name}. {instead[name]}")


__all__ = ["OF_TOOLS", "MissingMemberError", "missing"]
