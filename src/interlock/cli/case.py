"""`interlock case` and `interlock resume`: explains the state of one instance, and resumes it."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from ..checkpointing.store import instances as instance_rows
from ..graphs import WorkflowGraph
from ..tools.errors import InputError
from ..tools.explanation import ApprovalHere, BlockedTool, Explanation
from ..tools.sinks import line, short
from .support.loading import AppOption, DbOption, opened
from .support.output import AsJson, console, print_json, program
from .support.tables import print_command, print_lines, print_pair

Which = Annotated[
    str, typer.Argument(metavar="ID|THREAD", help="The workflow id, from `interlock instances`, or the thread.")
]
_WITHOUT_APP = {"audit", "events"}
"""Commands that need only the database."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("case")(case)
    app.command("resume")(resume)


def case(
    context: typer.Context, which: Which, app: AppOption = None, db: DbOption = None, as_json: AsJson = False
) -> None:
    """Explain the state of an instance: what it waits for, who may decide, why calls are denied, what happens next, and
    what to do.
    """
    with opened(app, db) as graph:
        explained = graph.instances.explain(found(graph, which))
    if as_json:
        print_json(explained.to_json())
    else:
        _print(explained, _options(context, app, db))


def resume(which: Which, app: AppOption = None, db: DbOption = None, as_json: AsJson = False) -> None:
    """Resume the thread of an instance after a decision, a resolution or an interrupted run."""
    with opened(app, db) as graph:
        workflow_id = found(graph, which)
        graph.instances.resume(workflow_id)
        after = graph.instances.explain(workflow_id)
    if as_json:
        print_json({"ok": True, "workflowId": workflow_id, "state": after.state, "waitsFor": after.waits_for})
        return
    print_lines(f"{workflow_id} resumed, and is in {after.state!r}.")
    print_lines(after.waits_for, style="dim")


def found(graph: WorkflowGraph, which: str) -> str:
    """The id of the instance that an id or a thread names.

    Raises:
        InputError: There is none, several, or one of another workflow.
    """
    name = graph.engine.definition.name
    with graph.engine.store.read() as connection:
        rows = instance_rows.on_thread(connection, which, which)
    by_id = [row for row in rows if row.workflow_id == which]
    ours = by_id or [row for row in rows if row.workflow == name]
    if len(ours) > 1:
        raise InputError(
            f"The thread {which!r} has {len(ours)} instances of {name}: {', '.join(row.workflow_id for row in ours)}. Give the id of one.",
            code="several_instances",
        )
    if not ours and rows:
        others = ", ".join(sorted({row.workflow for row in rows}))
        raise InputError(
            f"The thread {which!r} is of {others}, and --app names {name}. Give the application of that workflow.",
            code="other_workflow",
        )
    if ours and ours[0].workflow != name:
        raise InputError(
            f"{which} is an instance of {ours[0].workflow}, and --app names {name}. Give the application of that workflow.",
            code="other_workflow",
        )
    if not ours:
        graph.engine.store.get(which)  # raises that it does not exist
    return ours[0].workflow_id


def _options(context: typer.Context, app: str | None, db: str | None) -> dict[str, list[str]]:
    """The options for application and database that were given on the command line, not by the environment."""

    def said(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return {
        "app": ["--app", app] if app is not None and said("app") else [],
        "db": ["--db", db] if db is not None and said("db") else [],
    }


def _print(one: Explanation, options: Mapping[str, list[str]]) -> None:
    out = console()
    out.print(
        Text.assemble((line(one.workflow_id), "bold"), f"  {line(one.workflow)} version {one.version}"), soft_wrap=True
    )
    over = "finished in" if one.finished else "in"
    serves = "nobody in particular" if one.served is None else line(one.served)
    print_lines(f"{over} {one.state!r}, revision {one.revision}, changed {_time(one.changed_at)}", style="dim")
    print_lines(f"serves {serves}; started by {line(one.started_by)}; run by {one.run_by}", style="dim")
    if one.thread_id is not None:
        print_lines(f"thread {line(one.thread_id)}", style="dim")
    _head("waits for")
    print_lines(one.waits_for, indent=2)
    for approval in one.approvals:
        if approval.status == "requested":
            _asked(approval)
    if one.last_denial is not None:
        denied = one.last_denial
        _head("denied last")
        about = " ".join(filter(None, (denied.tool, denied.code)))
        print_lines(f"{about}, by {line(denied.by)}, {_time(denied.at)} (record {denied.number})", indent=2)
        print_lines(denied.reason, indent=2)
    _head("so far")
    for happened in one.so_far:
        _pair(_time(happened.at)[5:19], f"{_summary(happened)}", 14)
    _head("if nobody acts")
    for said in one.if_nobody_acts:
        print_lines(said, indent=2)
    _tools(one)
    if one.data is not None:
        _head("data")
        shown = one.data.items() if isinstance(one.data, dict) else [("", one.data)]
        longest = max((len(str(name)) for name, _ in shown), default=0)
        for name, value in shown:
            _pair(line(name), short(_plain(value), 300), min(longest, 24))
    _head("what to do")
    for step in one.next_steps:
        print_lines(step.what, indent=2)
        print_command(_whole(step.command, options))


def _asked(approval: ApprovalHere) -> None:
    _head("may decide")
    print_lines(f"{approval.decided_by}", indent=2)
    if approval.agreed:
        print_lines(f"{', '.join(map(line, approval.agreed))} agreed already", indent=2)
    print_lines(
        f"about {approval.tool}, asked by {line(approval.requested_by)}, {_time(approval.requested_at)}", indent=2
    )
    if approval.deadline is not None:
        print_lines(f"until {_time(approval.deadline)}", indent=2)
    print_lines(approval.approval_id, indent=2)


def _tools(one: Explanation) -> None:
    longest = max(
        (len(tool) for tool in (*(a.tool for a in one.allowed), *(b.tool for b in one.not_allowed))), default=0
    )
    _head("may be called" if one.judged_for == "anonymous" else f"may be called by {line(one.judged_for)}")
    for allowed in one.allowed:
        leads = "stays" if allowed.leads_to == one.state else f"leads to {allowed.leads_to!r}"
        asks = "" if allowed.asks is None else f", after {allowed.asks}"
        _pair(allowed.tool, f"{allowed.kind}, {leads}{asks}", longest)
    if not one.allowed:
        print_lines("nothing", indent=2)
    if one.not_allowed:
        _head("may not be called")
    for (why, reason), tools in _by_reason(one.not_allowed).items():
        said = f"{why.replace('_', ' ')}: {reason}"
        if len(tools) == 1:
            _pair(tools[0], said, longest)
        else:
            print_lines(", ".join(tools), indent=2)
            print_lines(said, indent=4)


def _by_reason(closed: Iterable[BlockedTool]) -> dict[tuple[str, str], list[str]]:
    """Group the blocked tools by reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in closed:
        found.setdefault((one.why, one.reason), []).append(one.tool)
    return found


def _head(text: str) -> None:
    console().print()
    console().print(Text(text, style="bold"))


def _pair(name: str, value: str, label: int) -> None:
    print_pair(name, value, indent=2, label=label)


def _summary(happened: Any) -> str:
    tool = f" {happened.tool}" if happened.tool else ""
    what = f": {happened.what}" if happened.what else ""
    return f"{line(happened.by)}, {happened.kind.replace('_', ' ')}{tool}{what}"


def _whole(command: str, options: Mapping[str, list[str]]) -> str:
    """The complete command line, with the options for application and database."""
    _, *words = shlex.split(command)
    more = [*([] if words[0] in _WITHOUT_APP else options["app"]), *options["db"]]
    return f"{program()} {shlex.join([*words, *more])}"


def _plain(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return ", ".join(f"{name} {_plain(one)}" for name, one in value.items()) or "empty"
        case list():
            return ", ".join(map(_plain, value)) or "empty"
        case _:
            return str(value)


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:19]} UTC"


__all__ = ["found", "opened"]
