"""Finds arguments that can write fields marked as the application's own without an approval."""

from collections.abc import Iterator

from ...tools.kinds import ToolKind
from ...tools.origins import MarkKind
from ...tools.origins.contracts import input_fields, output_fields
from ..definition import Definition, Edge


def writable(definition: Definition) -> Iterator[tuple[Edge, str, str]]:
    """Find arguments that can write a field that some tool returns as `Own`.

    An argument and a field are considered the same if they have the same name on the wire. Edges that always require an approval are
    skipped, and so are edges whose tool a policy may require an approval for.

    Args:
        definition: The workflow.

    Yields:
        The edge, the argument, and the field with the tool that returns it.
    """
    own: dict[str, str] = {}
    for contract in definition.contracts.values():
        for field in output_fields(contract):
            if field.mark is not None and field.mark.kind is MarkKind.OWN:
                own.setdefault(field.name, f"{contract.name}: {field.label}")
    for edge in definition.edges if own else ():
        if edge.tool.kind is ToolKind.READ or _somebody_is_asked(definition, edge):
            continue
        for argument in input_fields(edge.tool):
            if argument.name in own:
                yield edge, argument.label, own[argument.name]


def _somebody_is_asked(definition: Definition, edge: Edge) -> bool:
    always = edge.approval is not None and edge.approval.when is None
    return always or any(policy.may_require_approval(edge.tool) for policy in definition.policies)


__all__ = ["writable"]
