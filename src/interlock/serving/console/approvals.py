"""The pages to show an approval to its approver, to decide on it, and to decide on several of the same tool together."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store import ApprovalRequest, ApprovalStatus
from ...commands.approvals.handing_on import why_not_reassign
from ...graphs import WorkflowGraph
from ...operations.instances import Instances
from ...pictures.card_text import about, rows_of, then_of
from ...pictures.previews import changes, plain_of
from ...rules.origins.excerpts import lines_of
from ...tools.approvals import Decision, DecisionKind
from ...tools.canonical import JSON
from ...tools.errors import ConflictError, InputError, InterlockError
from ...tools.sinks import short
from ..addresses import part
from ..context import Calls, Serves, Service
from ..deciding import decide
from ..identity import Caller
from ..queries.open_approvals import open_for, why_not
from .fields import Field, arguments_of, fields_of
from .pages import Said, page, to

_BADGES = {
    "requested": "warn",
    "approved": "good",
    "edited": "good",
    "used": "good",
    "rejected": "bad",
    "void": "bad",
    "expired": "bad",
}
_TOGETHER = 100
LATEST = 500
"""The number of earlier calls of the tool whose decisions are shown to an approver."""


@dataclass(frozen=True)
class Argument:
    """One argument of the call."""

    name: str
    value: str
    notes: list[str]
    """Why this argument requires the approval, such as the origin of its value."""


@dataclass(frozen=True)
class Waiting:
    """An approval among others of its kind."""

    approval_id: str
    digest: str
    workflow_id: str
    summary: str
    who: str
    since: int


@dataclass(frozen=True)
class Together:
    """Open approvals of one tool."""

    tool: str
    items: list[Waiting]


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/approvals")(show_several)
    router.post("/approvals")(decide_several)
    router.get("/approvals/{approval_id}")(show)
    router.post("/approvals/{approval_id}/decide")(decide_one)


async def show(request: Request, approval_id: str, serves: Serves, caller: Calls) -> Response:
    """The approval."""
    values = await run_in_threadpool(_values, serves, approval_id, caller)
    return page(request, "approval.html", caller, **values)


async def decide_one(request: Request, approval_id: str, serves: Serves, caller: Calls) -> Response:
    """Process the submitted decision."""
    form = await request.form()
    given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    serves.callers.check_form(request, caller, given.get("form_token"))
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    asked = await run_in_threadpool(_request, graph, approval_id)
    if asked.digest != given.get("digest"):
        raise ConflictError(
            "What would run is no longer what the page showed. Nothing was decided; look at it again, then decide.",
            details={"approvalId": approval_id},
        )
    try:
        kind = DecisionKind(given.get("decision", ""))
    except ValueError:
        raise InputError(
            "The form says nothing that is a decision. Nothing was decided.", code="invalid_request"
        ) from None
    message = given.get("message", "").strip() or None
    try:
        arguments = None
        if kind is DecisionKind.EDIT:
            arguments = arguments_of(_fields(graph, asked, given), given)
        decision = Decision(kind, arguments, message, seen=asked.effective_arguments)
        done = await decide(serves, approval_id, decision, caller, resume=True)
    except InputError as error:
        if error.code in {"unknown_approval", "form_token"}:
            raise
        problems = error.details.get("problems") or []
        values = await run_in_threadpool(
            _values, serves, approval_id, caller, given, {one["field"]: one["problem"] for one in problems}
        )
        values["problem"] = error.message
        return page(request, "approval.html", caller, answered=HTTPStatus.UNPROCESSABLE_ENTITY, **values)
    if done.approval.status is ApprovalStatus.REQUESTED:
        return to(request, f"/console/approvals/{part(approval_id)}", "more")
    return to(
        request, f"/console/approvals/{part(approval_id)}", kind.value if done.resumed or done.queued else "stopped"
    )


async def show_several(request: Request, serves: Serves, caller: Calls) -> Response:
    """Open approvals that the caller may decide, by tool."""
    groups = await run_in_threadpool(_groups, serves, caller)
    return page(request, "bulk.html", caller, groups=groups)


async def decide_several(request: Request, serves: Serves, caller: Calls) -> Response:
    """Make the same decision on each selected approval; skip those that changed meanwhile."""
    form = await request.form()
    token = form.get("form_token")
    serves.callers.check_form(request, caller, token if isinstance(token, str) else None)
    ticked = [str(one) for one in form.getlist("which")][:_TOGETHER]
    kind = {"approve": DecisionKind.APPROVE, "reject": DecisionKind.REJECT}.get(str(form.get("decision")))
    if kind is None or not ticked:
        raise InputError("Nothing was ticked, or no decision was chosen. Nothing was decided.", code="invalid_request")
    message = str(form.get("message") or "").strip() or None
    decided, left = 0, []
    for one in ticked:
        approval_id, _, digest = one.partition(" ")
        try:
            graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
            asked = await run_in_threadpool(_request, graph, approval_id)
            if asked.digest != digest:
                raise ConflictError("It changed since the page was made.")
            decision = Decision(kind, None, message, seen=asked.effective_arguments)
            await decide(serves, approval_id, decision, caller, resume=True)
            decided += 1
        except InterlockError as error:
            left.append(f"{approval_id}: {error.message}")
    groups = await run_in_threadpool(_groups, serves, caller)
    text = f"{decided} decided." + (f" Left alone: {' '.join(left)}" if left else "")
    return page(request, "bulk.html", caller, groups=groups, said=Said("bad" if left else "good", text))


def _request(graph: WorkflowGraph, approval_id: str) -> ApprovalRequest:
    return graph.engine.store.approval(approval_id)


def _values(
    service: Service,
    approval_id: str,
    caller: Caller,
    given: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    graph = service.workflows.of_approval(approval_id, caller)
    instances = graph.instances
    shown = instances.approval(approval_id, by=caller.looks_as)
    asked = _request(graph, approval_id)
    instance = instances.get(asked.workflow_id)
    with graph.engine.store.read() as connection:
        refused = why_not(graph.engine, connection, asked, instance, caller)
    preview: JSON = shown.get("preview")
    facts = rows_of(shown, arguments=False)
    arguments: Any = shown["arguments"]
    allowed = shown["review_configs"][0]["allowed_decisions"]  # type: ignore[index,call-overload]
    return {
        "shown": shown,
        "request_": asked,
        "status": shown["status"],
        "badge": _BADGES.get(str(shown["status"]), "plain"),
        "description": about(shown),
        "arguments": [
            Argument(name, plain_of(value), [*_notes(shown["reasons"], name), *_sources(shown, name)])
            for name, value in arguments.items()
        ],
        "preview": preview,
        "changes": changes(preview),
        "edited": shown["proposedArguments"],
        "reasons": shown["reasons"],
        "who": dict(facts).get("decided by", ""),
        "otherwise": then_of(shown) if asked.expires_at is not None else "it stays open",
        "target": shown["next"]["approve"],  # type: ignore[index,call-overload]
        "history": _history(instances, asked),
        "latest": LATEST,
        "decisions": shown["decisions"],
        "may_decide": asked.status is ApprovalStatus.REQUESTED and refused is None,
        "may_reassign": why_not_reassign(instance, asked, caller.principal) is None,
        "why_not_decide": f"You cannot decide on this: {refused}." if refused else "",
        "decisions_allowed": allowed,
        "fields": _fields(graph, asked, given or {}, problems or {}),
        "problems": problems or {},
        "problem": None,
        "given": {"message": (given or {}).get("message", "")},
        "seen": instance.audit_count,
    }


def _fields(
    graph: WorkflowGraph, asked: ApprovalRequest, given: Mapping[str, str], problems: Mapping[str, str] | None = None
) -> list[Field]:
    contract = graph.engine.definition.contracts.get(asked.tool)
    edit = asked.rule.edit
    if contract is None or (edit is False and not contract.decision_fields):
        return []
    schema: Any = contract.input_schema()
    theirs = {field.name: field for field in contract.decision_fields}
    editable = None if edit is True else frozenset(edit or ()) | theirs.keys()
    schema["properties"] |= {name: {"description": field.asks, **field.schema} for name, field in theirs.items()}
    schema["required"] = [*schema.get("required", ()), *(name for name, field in theirs.items() if field.is_required)]
    fields = fields_of(schema, asked.effective_arguments, editable, given, problems or {})
    return [
        replace(one, hint=" ".join([one.hint, *_notes(asked.shown.get("reasons"), one.name)]).strip()) for one in fields
    ]


def _notes(reasons: Any, name: str) -> list[str]:
    """The reasons for an approval that concern one argument."""
    sentences = [part for one in reasons or [] for part in str(one).split("; ")]
    about = re.compile(rf"\bargument {re.escape(name)}(?![\w-])")
    return [one for one in sentences if about.search(one)]


def _sources(shown: Mapping[str, Any], name: str) -> list[str]:
    """The origins of the values of one argument."""
    return [
        f"{'' if path == name else f'{path}: '}from {said}"
        for path, said in lines_of(shown)
        if path.split(".", 1)[0] == name
    ]


def _history(instances: Instances, asked: ApprovalRequest) -> list[dict[str, Any]]:
    """The decisions on the latest calls of this tool, by approver."""
    found = instances.outcomes(by=("approver",), tenant=asked.tenant, tools=[asked.tool], newest=LATEST)
    return [
        {"who": one["approver"], **{name: one[name] for name in ("accepted", "edited", "rejected", "responded")}}
        for one in found
        if one["approver"]
    ]


def _groups(service: Service, caller: Caller) -> list[Together]:
    by_tool: dict[str, list[Waiting]] = defaultdict(list)
    for found in open_for(service, caller, limit=_TOGETHER, decides=True):
        one = found.request
        by_tool[one.tool].append(
            Waiting(
                one.approval_id,
                one.digest,
                one.workflow_id,
                short(plain_of(one.effective_arguments), 160),
                one.requester.id,
                one.requested_at,
            )
        )
    return [Together(tool, items) for tool, items in sorted(by_tool.items())]
