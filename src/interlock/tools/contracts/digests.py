"""What a decision on a call of a tool rests on, as a digest."""

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
    """A digest of what a decision on a call rests on.

    Args:
        name: The tool's.
        version: The tool's.
        effect: Where its effect lands.
        schema: Of its arguments, as a model is offered it.
        decided: The arguments that the approver states.
        supplied: Those that the application supplies.
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
