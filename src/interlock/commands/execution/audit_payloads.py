"""The records and messages of a command: audit payloads, error bodies, event envelopes."""

from collections.abc import Collection
from typing import Any, cast

from langgraph.errors import GraphInterrupt

from ...checkpointing.store import Unit
from ...rules.definition import Definition
from ...rules.gate import Admission
from ...rules.proposals import Proposal
from ...tools.canonical import JSON, JsonObject, to_json
from ...tools.codes import ErrorCode
from ...tools.contracts import ToolContract
from ...tools.errors import ContextError, InvalidOutput, ReadOnlyStore, Refused
from ...tools.events import Event, EventEnvelope, moment_of
from ...tools.ids import EventId, TraceId, WorkflowId, mint
from ...tools.kinds import ToolKind
from ...tools.redaction import MASK, Secrets
from ...tools.results import ErrorBody
from ...tools.storable import storable, storable_text, type_name, why_not_storable
from ...tools.trace_reference import current_trace
from ..running.tool_bodies import OutOfTimeError


def facts_of(unit: Unit, proposal: Proposal, admission: Admission, node: str | None) -> dict[str, Any]:
    """The common facts of all records of a call."""
    contract = admission.edge.tool
    return {
        "key": proposal.key,
        "toolVersion": contract.version,
        "arguments": unit.hide(admission.canonical, contract.sensitive),
        "proposedIn": proposal.state,
        "node": node,
        "policies": [*admission.rulings],
    }


def said_by(definition: Definition, unit: Unit, proposal: Proposal) -> JSON:
    """The arguments of a refused proposal, for its record.

    An unknown argument may be a sensitive field under a wrong name, or a field of another tool. So if the tool has sensitive fields,
    unknown arguments are not recorded.
    """
    contract = definition.contracts.get(proposal.tool)
    sensitive = definition.sensitive if contract is None else contract.sensitive
    unit.secrets.learn_from(unit.instance.data, definition.sensitive)
    unit.secrets.learn_from(cast("JSON", proposal.arguments), sensitive)
    said = storable(proposal.arguments)
    if contract is not None and contract.sensitive and isinstance(said, dict):
        known = set(cast("JsonObject", contract.input_schema().get("properties") or {}))
        unknown = [name for name in said if name not in known]
        unit.secrets.learn([said[name] for name in unknown])
        said = said | {name: MASK for name in unknown if said[name] is not None}
    return cast("JSON", unit.hide(said, sensitive))


def secrets_of(contract: ToolContract, arguments: JSON) -> Secrets:
    """The values of a call that logs must not quote."""
    secrets = Secrets()
    secrets.learn_from(arguments, contract.sensitive)
    return secrets


def masked(unit: Unit, body: ErrorBody, sensitive: Collection[str]) -> ErrorBody:
    """Mask sensitive values of an error, in its details and in its text."""
    details = unit.hide(body.details, sensitive)
    return body.model_copy(update={"message": unit.secrets.text(body.message), "details": details})


def error_body(contract: ToolContract, error: Exception) -> ErrorBody:
    """The error body for callers and the model after an exception in a tool's body."""
    if isinstance(error, Refused):
        return _refusal(contract, error)
    if isinstance(error, OutOfTimeError):
        return ErrorBody(
            code=ErrorCode.TIMEOUT,
            message=f"{contract.wire_name} did not answer within {error.seconds} s. Nothing of it was kept; it may be called again.",
            retryable=True,
        )
    if isinstance(error, GraphInterrupt):
        return ErrorBody(code=ErrorCode.TOOL_FAILED, message=f"{interrupted(contract)} Nothing of it was kept.")
    if isinstance(error, InvalidOutput):
        return ErrorBody(
            code=ErrorCode.INVALID_OUTPUT,
            message=f"{contract.wire_name} did not leave behind what it promises. Nothing of it was kept."
            + (f" It {advice}." if (advice := error.details.get("advice")) else ""),
            details=cast("JsonObject", storable({"problems": error.details.get("problems", [])})),
        )
    if isinstance(error, ReadOnlyStore) and contract.kind is ToolKind.READ:
        return ErrorBody(
            code=ErrorCode.TOOL_FAILED,
            message=f"{contract.wire_name} is a read, and it tried to write through its "
            "session. Nothing was written. Declare a tool that writes as @command(..., effect='transactional').",
        )
    if isinstance(error, ContextError):
        # Interlock's own text, which contains no data.
        return ErrorBody(
            code=ErrorCode.TOOL_FAILED,
            message=f"{contract.wire_name} failed: {error.message}. Nothing of it was kept.",
        )
    return ErrorBody(
        code=ErrorCode.TOOL_FAILED,
        # The exception's own text may contain secrets of the tool's backend, so it goes only to the log.
        message=f"{contract.wire_name} failed unexpectedly ({type_name(error)}). Nothing of it was kept.",
    )


def _refusal(contract: ToolContract, refusal: Refused) -> ErrorBody:
    """The error body of a refusal; its details have to be storable, like every value from a tool."""
    message = refusal.message if why_not_storable(refusal.message) is None else storable_text(refusal.message)
    problem = why_not_storable(refusal.details)
    if problem is None:
        return ErrorBody(
            code=ErrorCode.REFUSED,
            message=message,
            retryable=refusal.retryable is True,
            details=cast("JsonObject", to_json(refusal.details)),
        )
    return ErrorBody(
        code=ErrorCode.INVALID_OUTPUT,
        message=f"{contract.wire_name} refused ({message}), with details that cannot be kept: {problem}. Nothing of it was kept.",
        details={"problems": [{"field": "", "problem": problem}]},
    )


def interrupted(contract: ToolContract) -> str:
    """The error for a tool whose body interrupts the graph, with the alternative."""
    return (
        f"{contract.wire_name} called interrupt() in its body, which LangGraph runs again from its beginning when the interrupt is answered; "
        f"its effect is {contract.effect}, so that must not happen. Its author asks before it runs (approval= on its edge), or declares it idempotent if everything before the "
        "interrupt may be done twice."
    )


def envelope(event: Event, unit: Unit, proposal: Proposal, contract: ToolContract) -> EventEnvelope:
    """Put an event into its envelope, with its source."""
    return EventEnvelope.wrap(
        event,
        event_id=EventId(mint("evt")),
        occurred_at=moment_of(unit.now),
        trace_id=TraceId(unit.instance.trace_id),
        workflow_id=WorkflowId(unit.instance.workflow_id),
        metadata={
            "requestedBy": proposal.requester.id,
            "tenant": unit.instance.tenant,
            "tool": contract.name,
            "toolVersion": contract.version,
            "workflow": unit.instance.workflow,
            "workflowVersion": unit.instance.workflow_version,
            # An instance that the event wakes can record its cause.
            **(
                {}
                if (reference := current_trace.get()) is None
                else {"trace": {name: value for name, value in reference.items() if name != "proposal"}}
            ),
        },
    )
