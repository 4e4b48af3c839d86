"""The page of one instance: its state, what it waits for, its timeline, and the actions on it."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from langchain_core.messages import BaseMessage
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from ...checkpointing import SQLCheckpointer
from ...checkpointing.reports.attention import attempts_of
from ...checkpointing.store.audit import newest
from ...commands.cancelling.requesting import may_cancel
from ...commands.execution.resolution import Found as Outcome
from ...commands.running.access import why_not_resolve, why_not_run
from ...pictures.timeline import Entry, timeline_of
from ...tools.canonical import JSON, JsonObject
from ...tools.errors import InputError, PrincipalError
from ...tools.explanation import ApprovalHere, WaitHere
from ...tools.redaction import redact
from ..access import seen
from ..addresses import part
from ..api.audit import verified
from ..api.shapes import LARGEST
from ..context import Calls, Serves, Service
from ..erasing import What
from ..erasing import erase as erasing
from ..identity import Caller
from ..workflows import Found
from .pages import page, to

_PER_PAGE = 100
_DENIED = frozenset({"denial", "refusal", "decision_refused", "unknown", "limit", "void"})
_MOVED = frozenset({"transition", "decision"})


@dataclass(frozen=True)
class Open:
    """Something that the instance waits for."""

    title: str
    text: str
    who: str
    until: int | None
    otherwise: str
    href: str | None = None
    deliver: str | None = None
    """The address of the form to deliver the expected event by hand."""


@dataclass(frozen=True)
class Attempt:
    """An attempt of unknown outcome."""

    key: str
    tool: str
    attempt: int
    started_at: int
    arguments: JSON


@dataclass(frozen=True)
class Happened:
    """One entry of the timeline."""

    at: int
    kind: str
    title: str
    who: str
    text: str
    detail: JsonObject | None


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/instances/{workflow_id}")(show)
    router.post("/instances/{workflow_id}/resume")(resume)
    router.post("/instances/{workflow_id}/resolve")(resolve)
    router.post("/instances/{workflow_id}/cancel")(cancel)
    router.post("/instances/{workflow_id}/fork")(fork)
    router.post("/instances/{workflow_id}/erase")(erase)


async def show(
    request: Request,
    workflow_id: str,
    serves: Serves,
    caller: Calls,
    *,
    verify: bool = False,
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> Response:
    """The instance; to those who may cancel it but not see it, only that."""
    try:
        values = await run_in_threadpool(_values, serves, workflow_id, caller, verify, before)
    except PrincipalError:
        found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
        if not may_cancel(found.graph.engine, found.instance, caller.principal):
            raise
        return page(request, "cancel.html", caller, instance=found.instance)
    return page(request, "case.html", caller, **values)


def _values(service: Service, workflow_id: str, caller: Caller, verify: bool, before: int | None) -> dict[str, Any]:
    found = seen(service, workflow_id, caller)
    instance, instances, engine = found.instance, found.instances, found.graph.engine
    by = caller.looks_as
    explained = instances.explain(workflow_id, by=by)
    picture = instances.picture(workflow_id, by=by)
    with engine.store.read() as connection:
        records = newest(connection, workflow_id, before=before, limit=_PER_PAGE)
    told = timeline_of(instance.workflow, workflow_id, records).entries
    payloads = {one.number: one.payload for one in records}
    return {
        "instance": instance,
        "explained": explained,
        "picture": Markup(picture.svg),  # noqa: S704 -- our own drawing, whose texts are escaped as they are drawn
        "open_items": [*map(_approval, explained.approvals), *(_wait(one, workflow_id) for one in explained.waits)],
        "attempts": _attempts(found),
        "cancellation": instances.cancellation(workflow_id),
        "budgets": instances.budgets(workflow_id),
        "may_cancel": may_cancel(engine, instance, caller.principal),
        "may_resolve": why_not_resolve(engine, instance, caller.principal) is None,
        "claims": instances.claims(workflow_id),
        "verification": verified(engine.store, workflow_id) if verify else None,
        "timeline": [_happened(one, payloads.get(one.number)) for one in reversed(told)],
        "older": told[0].number if told and told[0].number > 1 else None,
        "messages": _messages(found),
        "seen": instance.audit_count,
        "trace_href": service.trace_href(instance.trace_id),
    }


def _approval(asked: ApprovalHere) -> Open:
    is_open = asked.status == "requested"
    return Open(
        f"A person decides on {asked.tool}" if is_open else f"{asked.tool} is {asked.status}",
        f"Asked by {asked.requested_by}." + (f" {', '.join(asked.agreed)} agreed." if asked.agreed else ""),
        asked.decided_by,
        _microseconds(asked.deadline),
        "it is rejected" if asked.after_deadline == "reject" else asked.after_deadline or "it stays as it is",
        f"/console/approvals/{part(asked.approval_id)}",
    )


def _wait(wait: WaitHere, workflow_id: str) -> Open:
    return Open(
        "It waits for an event",
        f"{', '.join(wait.expects) or 'Its deadline'}: {wait.settled} of {wait.needed} so far.",
        "any sender",
        _microseconds(wait.deadline),
        f"it goes to {wait.after_deadline}" if wait.after_deadline else "it continues to wait",
        deliver=f"/console/events/deliver?{urlencode({'event': wait.expects[0], 'instance': workflow_id})}"
        if wait.expects
        else None,
    )


def _microseconds(moment: str | None) -> int | None:
    return None if moment is None else int(dt.datetime.fromisoformat(moment).timestamp() * 1_000_000)


def _attempts(found: Found) -> list[Attempt]:
    store = found.graph.engine.store
    with store.read() as connection:
        entries = attempts_of(connection, found.instance.workflow_id, store.now(connection))
    contracts = found.graph.engine.definition.contracts
    return [
        Attempt(
            one.idempotency_key,
            one.tool,
            one.attempt,
            one.started_at,
            redact(one.arguments, contracts[one.tool].sensitive if one.tool in contracts else frozenset()),
        )
        for one in entries
    ]


def _happened(entry: Entry, payload: JsonObject | None) -> Happened:
    kind = (
        "denied"
        if entry.kind in _DENIED
        else "moved"
        if entry.kind in _MOVED
        else "asked"
        if entry.kind == "approval"
        else ""
    )
    title = entry.kind.replace("_", " ") + (f": {entry.tool}" if entry.tool else "")
    return Happened(int(entry.at.timestamp() * 1_000_000), kind, title, entry.principal, entry.detail, payload)


def _messages(found: Found) -> list[dict[str, str]] | None:
    """The conversation; None if the workflow's checkpointer does not store it separately."""
    saver, thread = found.graph.checkpointer, found.instance.thread_id
    if not isinstance(saver, SQLCheckpointer) or thread is None:
        return None
    return [_message(one.role, one.message) for one in saver.conversations.messages(thread, limit=200)]


_WHO = {"human": "Customer", "ai": "Model", "tool": "Tool", "system": "Application"}


def _message(role: str, message: Any) -> dict[str, str]:
    """A message for the page: its text, and its calls or results, which are collapsed."""
    shown = {
        "role": role if role in _WHO else "other",
        "who": _WHO.get(role, role),
        "text": "",
        "folded": "",
        "summary": "",
    }
    if message is None:
        return {**shown, "text": "(erased)"}
    if not isinstance(message, BaseMessage):
        return {**shown, "text": str(message)}
    text = str(message.text)
    if role == "tool":
        return {
            **shown,
            "folded": _readable(text),
            "summary": f"answer of {getattr(message, 'name', None) or 'a tool'}",
        }
    calls = getattr(message, "tool_calls", ())
    if not calls:
        return {**shown, "text": text}
    folded = "\n".join(f"{one['name']} {json.dumps(one['args'], indent=2, ensure_ascii=False)}" for one in calls)
    return {**shown, "text": text, "folded": folded, "summary": f"calls {', '.join(str(one['name']) for one in calls)}"}


def _readable(text: str) -> str:
    """JSON is formatted on several lines; any other text is unchanged."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


async def resume(
    request: Request, workflow_id: str, serves: Serves, caller: Calls, form_token: Annotated[str, Form()] = ""
) -> Response:
    """Resume the thread."""
    serves.callers.check_form(request, caller, form_token)
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    await found.instances.aresume(workflow_id, by=caller.looks_as)
    return to(request, f"/console/instances/{part(workflow_id)}", "resumed")


async def resolve(
    request: Request,
    workflow_id: str,
    serves: Serves,
    caller: Calls,
    *,
    key: Annotated[str, Form(max_length=128)],
    attempt: Annotated[int, Form(ge=1, le=LARGEST)],
    found: Annotated[str, Form(pattern="^(happened|retry|failed)$")],
    output: Annotated[str, Form(max_length=100_000)] = "",
    note: Annotated[str, Form(max_length=2000)] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Resolve an attempt."""
    serves.callers.check_form(request, caller, form_token)
    try:
        returned = json.loads(output) if output.strip() else None
    except ValueError as error:
        raise InputError(
            f"The tool's result must be JSON ({error}). Nothing was recorded; go back and correct it.",
            code="invalid_request",
        ) from None
    at = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    await at.instances.aresolve(
        workflow_id,
        Outcome(found),
        by=caller.principal,
        key=key,
        output=returned,
        note=note or None,
        attempt=attempt,
    )
    return to(request, f"/console/instances/{part(workflow_id)}", "resolved")


async def cancel(
    request: Request,
    workflow_id: str,
    serves: Serves,
    caller: Calls,
    *,
    reason: Annotated[str, Form(min_length=1, max_length=2000)],
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Cancel the instance, and undo what can be undone."""
    serves.callers.check_form(request, caller, form_token)
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    became = await found.instances.acancel(workflow_id, reason, by=caller.principal)
    done = "cancelled" if became.is_done and not became.left else "cancelling"
    sees = caller.is_operator or why_not_run(found.graph.engine, found.instance, caller.principal) is None
    # Whoever may only cancel it has no page of it to return to.
    return to(request, f"/console/instances/{part(workflow_id)}" if sees else "/console/attention", done)


async def fork(
    request: Request, workflow_id: str, serves: Serves, caller: Calls, form_token: Annotated[str, Form()] = ""
) -> Response:
    """Fork the instance."""
    serves.callers.check_form(request, caller, form_token)
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    made = await found.instances.afork(found.config(), principal=caller.looks_as)
    return to(request, f"/console/instances/{part(found.instances.id_of(made))}", "forked")


async def erase(
    request: Request,
    workflow_id: str,
    serves: Serves,
    caller: Calls,
    *,
    what: Annotated[What, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=2000)],
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Erase the conversation, or the payloads of the audit trail."""
    serves.callers.check_form(request, caller, form_token)
    await run_in_threadpool(erasing, serves, workflow_id, what, reason, caller)
    return to(request, f"/console/instances/{part(workflow_id)}", "erased")
