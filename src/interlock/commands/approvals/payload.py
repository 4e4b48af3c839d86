"""The content of a request for approvers, in a form that today's user interfaces display unchanged."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from ...checkpointing.store import ApprovalRequest
from ...rules.origins.excerpts import lines_of
from ...rules.policies import Mode
from ...tools.approvals import Approval, Escalate, TakeEdge
from ...tools.canonical import JSON, JsonObject, digest
from ...tools.contracts import ToolContract
from ...tools.errors import InvalidResume, NotJson
from ...tools.events import moment_of, timestamp
from ...tools.redaction import Secrets
from ...tools.sinks import line, quoted, quoted_json
from ..running.engine import Engine
from .binding import missing
from .chat_question import question

_PRESENTED = "presented"


def payload(engine: Engine, approval: ApprovalRequest, problem: str | None = None) -> JsonObject:
    """The interrupt value of an approval.

    Keys are duplicated, because Agent Chat UI, Agent Inbox and deep-agents-ui read different ones. They display only name, arguments
    and description, so the description contains everything that a person needs to know.

    Args:
        engine: The workflow.
        approval: The request.
        problem: The problem of the previous answer.
    """
    contract = engine.definition.contracts.get(approval.tool)
    rule = approval.rule
    first = len(rule.stages) == len(approval.first_rule.stages)
    arguments = approval.effective_arguments
    fields = () if contract is None else contract.decision_fields
    supplied = supplied_in(contract, arguments)
    edits = first and (rule.edit is not False or bool(fields))
    # Other user interfaces cannot send values with an approval, so required values have to be an edit there.
    approves = contract is None or not missing(contract, arguments)
    decisions: list[JSON] = [*(["approve"] if approves else []), *(["edit"] if edits else []), "reject", "respond"]
    edited = approval.edited_arguments is not None
    description = _described(engine, approval, contract.description if contract else approval.tool, problem)
    return {
        "type": "confirmation" if rule.confirmation else "approval",
        "schemaVersion": 1,
        "approvalId": approval.approval_id,
        "workflowId": approval.workflow_id,
        "workflow": approval.workflow,
        "state": approval.state,
        "mode": engine.definition.mode.value,
        "tool": approval.tool,
        "toolVersion": approval.tool_version,
        "arguments": arguments,
        "proposedArguments": approval.arguments if edited else None,
        **({"fields": [field.to_json() for field in fields]} if fields else {}),
        **({"supplied": [*supplied]} if supplied else {}),
        **({} if rule.chat is None else {"message": question(engine.definition, approval)}),
        "preview": approval.shown.get("preview"),
        "requestedBy": approval.requester.id,
        "reasons": approval.shown.get("reasons", []),
        "origins": approval.shown.get("origins", {}),
        **({"sources": approval.shown["sources"]} if approval.shown.get("sources") else {}),
        "rule": rule.to_json(),
        "requestedAt": moment(approval.requested_at),
        "expiresAt": None if approval.expires_at is None else moment(approval.expires_at),
        "next": {
            "approve": approval.shown.get("target"),
            "reject": approval.state,
            "expiry": None if approval.expires_at is None else after_deadline(rule),
        },
        "problem": problem,
        "action_requests": [
            {
                "name": approval.tool,
                "action": approval.tool,
                "args": arguments,
                "arguments": arguments,
                "description": description,
            }
        ],
        "review_configs": [
            {
                "action_name": approval.tool,
                "actionName": approval.tool,
                "allowed_decisions": [*decisions],
                "allowedDecisions": [*decisions],
            }
        ],
    }


_THEIRS = frozenset(
    {
        "arguments",
        "proposedArguments",
        "preview",
        "reasons",
        "problem",
        "action_requests",
        "decisions",
        "message",
        "sources",
    }
)
"""The keys with untrusted text; the rest is Interlock's, and masking a short secret must not make it unreadable."""


def masked(engine: Engine, approval: ApprovalRequest, shown: JsonObject) -> JsonObject:
    """The request for viewers who may not decide: sensitive values are masked wherever they are quoted."""
    contract = engine.definition.contracts.get(approval.tool)
    secrets, sensitive = Secrets(), frozenset[str]() if contract is None else contract.sensitive
    for arguments in (approval.arguments, approval.edited_arguments):
        secrets.learn_from(arguments, sensitive)
    theirs = {name: value for name, value in shown.items() if name in _THEIRS}
    found = shown | cast("JsonObject", secrets.redacted(theirs, sensitive))
    # The name of a sensitive argument is not secret, but a key that a model chose may be.
    return found | {"origins": secrets.value(shown.get("origins", {}))}


def noted(engine: Engine, approval: ApprovalRequest, problem: str | None = None) -> ApprovalRequest:
    """Store a digest of the shown content with a request: an answer is valid only for this content."""
    shown = {**approval.shown, _PRESENTED: digest(payload(engine, approval, problem))}
    return replace(approval, shown=shown)


def matches_shown(engine: Engine, approval: ApprovalRequest, shown: object) -> bool:
    """Whether the content that a thread shows for a request is the original one.

    Checkpoints are not trusted: anyone who can write them could show an approver another call than the one that runs.
    """
    expected = approval.shown.get(_PRESENTED)
    if expected is None:  # requested by a release without this note
        problem = shown.get("problem") if isinstance(shown, Mapping) else None
        expected = digest(payload(engine, approval, problem))
    try:
        return digest(shown) == expected
    except NotJson:
        return False


def forged_content(approval: ApprovalRequest) -> InvalidResume:
    """The error for an answer to different content."""
    return InvalidResume(
        f"What the thread shows of {approval.tool} ({approval.approval_id}) is not what was asked: its checkpoint was changed. Nothing was "
        "decided. Find out who can write the checkpoints; then run the thread on, which shows what is asked, and answer that.",
        details={"approvalId": approval.approval_id},
    )


def decided_by(rule: Approval, served: str | None) -> str:
    """The deciders of a rule, in words.

    Args:
        rule: The current rule.
        served: The person whom the instance serves.
    """
    if rule.confirmation:
        return "the person served" if served is None else f"the person served, {line(served)}"
    who = "anybody else than who proposed it" if rule.role is None else f"somebody with the role {rule.role!r}"
    if rule.by is not None:
        who = rule.who
    return who if rule.count == 1 else f"{who}; {rule.count} of them must agree"


def moment(microseconds: int) -> str:
    """Format a time of the database for the wire."""
    return timestamp(moment_of(microseconds))


def _described(engine: Engine, approval: ApprovalRequest, description: str, problem: str | None) -> str:
    rule = approval.rule
    parts = [description]
    if problem is not None:
        parts.insert(0, f"The last answer did not count: {line(problem)}")
    if engine.definition.mode is Mode.DRY_RUN:
        parts.append("This is a dry run: nothing is executed, whatever the decision.")
    if approval.edited_arguments is not None:
        parts.append(f"Its arguments were edited; proposed was: {quoted_json(approval.arguments)}")
    if approval.shown.get("preview") is not None:
        parts.append(f"What it would change: {quoted_json(approval.shown['preview'])}")
    asked = f"Asked by {line(approval.requester.id)} in {approval.state!r} of {approval.workflow}."
    reasons = approval.shown.get("reasons")
    if isinstance(reasons, list) and reasons:
        asked += f" Why: {'; '.join(map(quoted, reasons))}."
    parts.append(asked)
    parts += [f"{quoted(name)} comes from {said}." for name, said in lines_of(approval.shown)]
    who = "the person served" if rule.confirmation else f"somebody with the role {rule.role!r}" if rule.role else None
    if rule.by is not None:
        who = line(rule.who)
    if who is not None:
        parts.append(f"To be decided by {who}" + (f"; {rule.count} of them must agree." if rule.count > 1 else "."))
    contract = engine.definition.contracts.get(approval.tool)
    for field in () if contract is None else contract.decision_fields:
        asks = f": {line(field.asks)}" if field.asks else ""
        parts.append(
            f"To be supplied by the approver{'' if field.is_required else ', if they like'}: {field.name}{asks}"
        )
    if supplied := supplied_in(contract, approval.effective_arguments):
        parts.append(f"Supplied by the application, and not by who asks: {', '.join(supplied)}.")
    target = approval.shown.get("target")
    ahead = "It then needs another approval." if rule.then is not None else f"The workflow then is in {target!r}."
    parts.append(f"If approved, it runs exactly as shown. {ahead}")
    if approval.expires_at is not None:
        parts.append(f"Open until {moment(approval.expires_at)}; then: {after_deadline(rule)}.")
    return "\n\n".join(parts)


def supplied_in(contract: ToolContract | None, arguments: JsonObject) -> list[str]:
    """The names of the arguments that the application supplied."""
    fields = () if contract is None else contract.supplied_fields
    return [field.name for field in fields if field.name in arguments]


def after_deadline(rule: Approval) -> str:
    """The effect of the deadline, in words."""
    match rule.on_expiry:
        case Escalate():
            return f"ask {line(rule.escalated(rule.on_expiry).who)}"
        case TakeEdge(tool):
            return f"call {tool} instead"
        case _:
            return "reject"


__all__ = [
    "after_deadline",
    "decided_by",
    "forged_content",
    "matches_shown",
    "moment",
    "noted",
    "payload",
    "supplied_in",
]
