"""`interlock approvals`: what waits for a person, and deciding on it.

The command line knows nobody but its operator: who decides is who runs it, and they say as whom. Anyone who may run it may write the
database anyway; what it adds is that the decision is checked and recorded under that name.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import typer

from ..checkpointing.store import ApprovalRequest, ApprovalStatus
from ..commands.approvals.payload import moment
from ..graphs import WorkflowGraph
from ..operations import Instances
from ..tools.approvals import Decision, DecisionKind
from ..tools.canonical import JsonObject
from ..tools.errors import ConflictError, InputError, PrincipalError
from ..tools.principal import Principal
from ..tools.sinks import line
from .support.asking import show_request
from .support.loading import AppOption, DbOption, open_store, opened
from .support.operator import As, Roles, Tenant, principal_of
from .support.output import AsJson, ExitCode, console, print_error, print_json
from .support.tables import print_table

topic = typer.Typer(
    no_args_is_help=True, help="Work on pending approvals: list, show, decide, delegate, reassign, remind."
)

ApprovalId = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="The approval's id, from `interlock approvals list`.")
]
Message = Annotated[str | None, typer.Option("--message", "-m", help="The reason, for the record and for the model.")]
ResumeAfter = Annotated[bool, typer.Option("--resume", help="Resume the waiting thread immediately.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topic, name="approvals")


@topic.command("list")
def list_approvals(
    *,
    db: DbOption = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only those of this tool.")] = None,
    status: Annotated[str, typer.Option(help=f"{', '.join(ApprovalStatus)}, or any.")] = "requested",
    tenant: Tenant = "default",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The maximum number of rows.")] = 50,
    after: Annotated[str | None, typer.Option(help="Continue after the page that ended with this cursor.")] = None,
    as_json: AsJson = False,
) -> None:
    """List approvals, oldest first. By default, list pending ones."""
    with closing(open_store(db)) as store:
        page = store.approvals(
            tenant=tenant,
            status=None if status == "any" else status,
            workflow=workflow,
            tool=tool,
            limit=limit,
            after=after,
        )
    if as_json:
        for one in page.approvals:
            print_json(_row(one))
        return
    if not page.approvals:
        console().print("Nothing waits for a decision." if status == "requested" else "Nothing here.", style="dim")
        return
    last = "until (UTC)" if status == "requested" else "status"
    print_table(
        ("approval", "tool", "by", "for", last),
        (
            (
                one.approval_id,
                one.tool,
                one.requester.id,
                one.rule.who
                if one.rule.by
                else one.rule.role or ("confirmation" if one.rule.confirmation else "anybody else"),
                _until(one) if status == "requested" else one.status.value,
            )
            for one in page.approvals
        ),
        ids=("approval", last),
    )
    if page.next is not None:
        console().print(f"There are more: --after {page.next}", style="dim")


@topic.command()
def show(approval: ApprovalId, app: AppOption = None, db: DbOption = None, as_json: AsJson = False) -> None:
    """Show one approval: exactly what would run, what it would change, who asked, and until when."""
    with opened(app, db) as graph:
        shown = graph.instances.approval(approval)
    if as_json:
        print_json(shown)
        return
    show_request(shown)
    out = console()
    out.print(str(shown["action_requests"][0]["description"]))  # type: ignore[index,call-overload]
    for one in shown["decisions"]:  # type: ignore[union-attr]
        whose = f" for {one['onBehalfOf']}" if "onBehalfOf" in one else ""  # type: ignore[index,operator,call-overload]
        out.print(line(f"{one['by']} decided{whose}: {one['decision']} {one['message'] or ''}"))  # type: ignore[index,call-overload]
    out.print(f"It is {shown['status']}.", style="dim")


@topic.command()
def approve(
    approval: ApprovalId,
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    values: Annotated[
        str | None,
        typer.Option(help="Values that only the approver can supply, if `show` asks for them, as a JSON object."),
    ] = None,
    message: Message = None,
    resume: ResumeAfter = False,
    as_json: AsJson = False,
) -> None:
    """Approve a call exactly as shown."""
    decision = Decision(DecisionKind.APPROVE, message=message, values=None if values is None else _object(values))
    _decide(app, db, approval, decision, by=principal_of(who, role, tenant), resume=resume, as_json=as_json)


@topic.command()
def edit(
    approval: ApprovalId,
    arguments: Annotated[
        str, typer.Argument(help="The arguments to change, as a JSON object; the others keep their values.")
    ],
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    message: Message = None,
    resume: ResumeAfter = False,
    as_json: AsJson = False,
) -> None:
    """Approve a call with changed arguments."""
    changed = _object(arguments)
    by = principal_of(who, role, tenant)
    with opened(app, db) as graph:
        now = _shown(graph, approval, by)
        decision = Decision(DecisionKind.EDIT, arguments={**now, **changed}, message=message, seen=now)
    _decide(app, db, approval, decision, by=by, resume=resume, as_json=as_json)


@topic.command()
def reject(
    approval: ApprovalId,
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    message: Message = None,
    resume: ResumeAfter = False,
    as_json: AsJson = False,
) -> None:
    """Reject a call."""
    decision = Decision(DecisionKind.REJECT, message=message)
    _decide(app, db, approval, decision, by=principal_of(who, role, tenant), resume=resume, as_json=as_json)


@topic.command()
def respond(
    approval: ApprovalId,
    message: Annotated[str, typer.Argument(help="The answer for the model.")],
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    resume: ResumeAfter = False,
    as_json: AsJson = False,
) -> None:
    """Answer a call without running it: the model gets your message instead."""
    decision = Decision(DecisionKind.RESPOND, message=message)
    _decide(app, db, approval, decision, by=principal_of(who, role, tenant), resume=resume, as_json=as_json)


@topic.command()
def reassign(
    approval: ApprovalId,
    to: Annotated[
        list[str], typer.Argument(metavar="PERSON", help="The id of a person who decides from now on. Repeatable.")
    ],
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    reason: Annotated[str | None, typer.Option("--reason", help="The reason, for the record.")] = None,
    as_json: AsJson = False,
) -> None:
    """Reassign an open request to other people. You must be able to decide on it, or have the role of its rule's `reassign`."""
    by = principal_of(who, role, tenant)
    after = _changed(app, db, lambda on: on.reassign(approval, to, by=by, reason=reason), as_json=as_json)
    _print_result(after, f"{after.tool} ({approval}) is for {line(after.rule.who)} to decide.", as_json=as_json)


@topic.command()
def remind(
    approval: ApprovalId,
    *,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    role: Roles = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Remind the people who have to decide on a request."""
    by = principal_of(who, role, tenant)
    after = _changed(app, db, lambda on: on.remind(approval, by=by), as_json=as_json)
    _print_result(
        after, f"{line(after.rule.who)}: {after.tool} ({approval}) waits. The reminder is recorded.", as_json=as_json
    )


@topic.command()
def delegate(
    to: Annotated[str, typer.Argument(metavar="PERSON", help="The id of the person who decides for you.")],
    *,
    until: Annotated[str, typer.Option(help="The end: a duration such as 14d, or a moment with its time zone.")],
    since: Annotated[str | None, typer.Option(help="The start: a moment with its time zone. Default: now.")] = None,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Delegate your decisions during an absence, for all approvals that name you."""
    by, begins = principal_of(who, None, tenant), None if since is None else _moment(since)
    ends = until if until[-1:] in "smhdw" else _moment(until)
    with opened(app, db) as graph:
        made = graph.instances.delegate(to, by=by, until=ends, since=begins)
    if as_json:
        print_json({"ok": True, **made.to_json()})
        return
    console().print(
        line(f"{made.delegate} decides for {made.person} until {made.to_json()['until']}: {made.delegation_id}")
    )


@topic.command()
def delegations(
    *,
    end: Annotated[str | None, typer.Option(metavar="ID", help="End this delegation of yours early.")] = None,
    app: AppOption = None,
    db: DbOption = None,
    who: As = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """List current and future delegations; with `--as`, those of one person. With `--end`, end one."""
    with opened(app, db) as graph:
        if end is not None:
            graph.instances.end_delegation(end, by=principal_of(who, None, tenant))
        by = None if who is None else principal_of(who, None, tenant)
        found = [one.to_json() for one in graph.instances.delegations(tenant=tenant, by=by)]
    if as_json:
        for one in found:
            print_json(one)
        return
    if not found:
        console().print("There are no delegations.", style="dim")
        return
    columns = ("delegationId", "person", "delegate", "from", "until")
    rows = [tuple(str(one[name]) for name in columns) for one in found]
    print_table(("delegation", "for", "decides", "from (UTC)", "until (UTC)"), rows, ids=("delegation",))


def _changed(
    app: str | None, db: str | None, change: Callable[[Instances], ApprovalRequest], *, as_json: bool
) -> ApprovalRequest:
    with opened(app, db) as graph, _refusals(as_json=as_json):
        return change(graph.instances)


def _print_result(after: ApprovalRequest, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, **_row(after)})
    else:
        console().print(text)


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is no moment. Nothing was changed; give for instance 2026-05-02T12:00:00Z, or 14d for a duration."
        ) from None


def _decide(
    app: str | None,
    db: str | None,
    approval_id: str,
    decision: Decision,
    *,
    by: Principal,
    resume: bool,
    as_json: bool,
) -> None:
    with opened(app, db) as graph:
        if resume and (reason := graph.instances.why_not_follow(approval_id)) is not None:
            raise InputError(f"{reason} Nothing was decided; leave --resume out.", code="no_thread")
        with _refusals(as_json=as_json):
            after = graph.instances.decide(approval_id, decision, by=by)
        follows = resume and after.status is not ApprovalStatus.REQUESTED
        went_on = graph.instances.follow(approval_id) if follows else None
    state = None if went_on is None else went_on.get("state", went_on.get("currentState"))
    if as_json:
        print_json({"ok": True, **_row(after), "state": state or after.state})
        return
    left = "More people must agree." if after.status is ApprovalStatus.REQUESTED else ""
    console().print(f"{after.tool} ({approval_id}) is {after.status.value}. {left}")
    if went_on is not None:
        console().print(f"The workflow resumed, and is in {state}.")
    elif after.status is not ApprovalStatus.REQUESTED:
        console().print("The next tick resumes it; --resume does so immediately.", style="dim")


def _object(text: str) -> JsonObject:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{text!r} is not a JSON object. Nothing was decided; give for instance '{{\"amount\": 5}}'.")
    return found


def _shown(graph: WorkflowGraph, approval_id: str, by: Principal) -> JsonObject:
    """The arguments that an edit changes; empty if the approval does not exist for this person, which the decision reports."""
    try:
        request = graph.engine.store.approval(approval_id)
    except InputError:
        return {}
    return request.effective_arguments if request.tenant == by.tenant else {}


@contextmanager
def _refusals(*, as_json: bool) -> Iterator[None]:
    """A decision that is refused is printed, with the exit code for no; what may work when it is tried again is raised."""
    try:
        yield
    except (PrincipalError, ConflictError) as error:
        if error.retryable:
            raise
        print_error(error, as_json=as_json)
        raise typer.Exit(ExitCode.NO) from None


def _until(one: ApprovalRequest) -> str:
    return "" if one.expires_at is None else moment(one.expires_at)[5:16].replace("T", " ")


def _row(one: ApprovalRequest) -> JsonObject:
    row: dict[str, Any] = {
        "approvalId": one.approval_id,
        "workflowId": one.workflow_id,
        "workflow": one.workflow,
        "state": one.state,
        "tool": one.tool,
        "arguments": one.effective_arguments,
        "requestedBy": one.requester.id,
        "requestedAt": moment(one.requested_at),
        "expiresAt": None if one.expires_at is None else moment(one.expires_at),
        "rule": one.rule.to_json(),
        "status": one.status.value,
    }
    return row
