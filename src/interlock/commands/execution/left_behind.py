"""Validates the results of a tool before they are stored: output, workflow data, and emitted events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...checkpointing.store import Unit
from ...rules.definition import Definition
from ...rules.proposals import Proposal
from ...rules.stored_data import NotKeptError, stored
from ...tools.canonical import JSON, JsonObject
from ...tools.contracts import ToolContract
from ...tools.errors import InvalidOutput
from ...tools.events import Event, EventEnvelope
from ...tools.kinds import ToolKind
from ...tools.schemas.finite import not_finite
from ...tools.storable import storable_text, type_name, why_not_storable
from ..running.operations import Attempt
from .audit_payloads import envelope
from .followed import check_followed


@dataclass(frozen=True)
class LeftBehind:
    """The results of a tool, as far as they can be stored."""

    output: JSON
    data: JsonObject
    events: tuple[EventEnvelope, ...]
    problems: tuple[str, ...] = field(default=())
    """The errors of the parts that cannot be stored."""

    def sound(self, contract: ToolContract) -> "LeftBehind":
        """Return the results if all of them can be stored.

        Raises:
            InvalidOutput: A part cannot be stored.
        """
        if self.problems:
            raise invalid(contract, self.problems)
        return self


def left_behind(definition: Definition, unit: Unit, attempt: Attempt, proposal: Proposal, output: Any) -> LeftBehind:
    """Validate the results of a tool."""
    problems: list[str] = []
    shown: JSON = None
    data = unit.instance.data
    try:
        shown = output_of(definition, attempt.contract, output)
    except InvalidOutput as error:
        problems += _problem_texts(error)
    try:
        data = data_after(definition, unit, attempt)
    except InvalidOutput as error:
        problems += _problem_texts(error)
    stated = [output] if attempt.contract.kind is ToolKind.EVENT and isinstance(output, Event) else []
    envelopes: list[EventEnvelope] = []
    for event in [*attempt.context.emitted, *stated]:
        kept = _in_envelope(event, unit, proposal, attempt.contract)
        if isinstance(kept, str):
            problems.append(kept)
        else:
            envelopes.append(kept)
    return LeftBehind(shown, data, tuple(envelopes), tuple(problems))


def output_of(definition: Definition, contract: ToolContract, output: Any) -> JSON:
    """The output in wire form.

    Raises:
        InvalidOutput: It does not match the contract, or cannot be stored.
    """
    return contract.dump_output(output, longest=definition.limits.output_characters)


def data_after(definition: Definition, unit: Unit, attempt: Attempt) -> JsonObject:
    """The workflow's data after the tool.

    Raises:
        InvalidOutput: It cannot be stored.
    """
    if definition.data_model is None:
        return unit.instance.data
    try:
        data = stored(definition.data_model, attempt.context.data)
    except NotKeptError as error:
        raise invalid(attempt.contract, [f"the workflow's data as the tool left it {error}"]) from error
    check_followed(definition, attempt, unit.instance.data, data)
    return data


def invalid(contract: ToolContract, problems: Iterable[str]) -> InvalidOutput:
    """The error for results that cannot be stored."""
    told = [*problems]
    return InvalidOutput(
        f"{contract.name} left behind what cannot be kept: {'; '.join(told)}. Fix the tool.",
        details={"tool": contract.name, "problems": [{"field": "", "problem": problem} for problem in told]},
    )


def _problem_texts(error: InvalidOutput) -> list[str]:
    problems = error.details.get("problems") or [{"field": "", "problem": error.message}]
    return [f"{item['field']}: {item['problem']}" if item["field"] else str(item["problem"]) for item in problems]


def _in_envelope(event: Event, unit: Unit, proposal: Proposal, contract: ToolContract) -> EventEnvelope | str:
    name = type_name(event)
    try:
        wrapped = envelope(event, unit, proposal, contract)
        problem = why_not_storable(wrapped.to_json()) or not_finite(event)
    except Exception as error:  # custom serializers of the event may raise anything
        return f"the event {name} cannot be written ({type_name(error)}: {storable_text(error)[:300]})"
    return wrapped if problem is None else f"the event {name} cannot be kept: {problem}"


__all__ = ["LeftBehind", "data_after", "invalid", "left_behind", "output_of"]
