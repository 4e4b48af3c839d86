"""The digest of everything on which a decision about a call depends."""

from collections.abc import Iterable

from ..canonical import JsonObject, digest
from ..kinds import Effect
from ..schemas.from_application import SuppliedField
from ..schemas.from_decision import DecisionField
from ..schemas.offered.normalised import normalised


def binding_digest(
    name: str,
    version: int,
    effect: Effect | None,
    schema: JsonObject,
    *,
    decided: Iterable[DecisionField],
    supplied: Iterable[SuppliedField],
) -> str:
    """Digest everything about the tool that a decision on a call depends on.

    Args:
        name: The name of the tool.
        version: The version of the tool.
        effect: Where its effect happens.
        schema: The schema of its arguments that the model is offered.
        decided: The arguments that the approver fills in.
        supplied: The arguments that the application supplies.
    """
    stated = [[field.name, normalised(field.schema), field.is_required] for field in decided]
    given = [[field.name, normalised(field.schema), field.takes_none] for field in supplied]
    return digest(
        {
            "name": name,
            "version": version,
            "effect": effect,
            "inputSchema": normalised(schema),
            **({"decided": stated} if stated else {}),
            **({"supplied": given} if given else {}),
        }
    )


__all__ = ["binding_digest"]
