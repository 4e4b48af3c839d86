"""Names that somebody looks for on a class because a library beside Interlock has them there."""

from collections.abc import Mapping

from ..errors import DefinitionError

OF_TOOLS = dict.fromkeys(
    ("invoke", "ainvoke", "run", "arun", "func", "args_schema"),
    "Call it like its function, or pass contract.as_tool() where LangChain wants a tool: both run without gate, approval and record.",
)
"""What LangChain's tools have, and contracts do not."""


class MissingMemberError(DefinitionError, AttributeError):
    """A class has no attribute of this name; the message names what does the same."""


def missing(owner: object, name: str, instead: Mapping[str, str]) -> AttributeError:
    """Return the error for an attribute that an object does not have.

    Args:
        owner: The object.
        name: The attribute.
        instead: What to write instead, for names that other libraries have.
    """
    kind = type(owner).__name__
    if name not in instead:
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    return MissingMemberError(f"A {kind} has no {name}. {instead[name]}")


__all__ = ["OF_TOOLS", "MissingMemberError", "missing"]
