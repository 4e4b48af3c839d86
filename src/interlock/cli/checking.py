"""`interlock check` and `interlock access`: proves claims, reports suspicious definitions, and lists who can do what."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer
from rich.text import Text

from ..checkpointing.reports.running import Running, running
from ..graphs import Workflow
from ..pictures.proof import picture_of_proof
from ..rules.claims.access import AccessChange, AccessRow, Touch, access_changes, access_review, as_csv, as_markdown
from ..rules.claims.checker import BOUND, Proof, Verdict
from ..rules.claims.findings import Finding, find
from ..rules.claims.script import can_go_through_the_door, script_of
from ..rules.claims.words import in_words, path_in_words
from ..rules.definition import Definition
from ..tools.canonical import JsonObject
from ..tools.sinks import whole_file
from .support.loading import READY_MADE, App, AppOption, DbOption, load_app, open_store
from .support.output import AsJson, ExitCode, console, print_json, visible, writing
from .support.tables import print_table

_STYLES = {Verdict.PROVED: "green", Verdict.BROKEN: "red", Verdict.UNDECIDED: "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("check")(check)
    app.command("access")(access)


def check(  # noqa: PLR0917 -- the options of a command
    workflow: AppOption = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the claims as a JUnit XML report, for CI.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="A role that someone has. Pass all roles to find approvals that nobody could give. Repeatable.",
        ),
    ] = None,
    bound: Annotated[
        int,
        typer.Option("--bound", min=1, metavar="N", help="The maximum number of situations that a search may visit."),
    ] = BOUND,
    strict: Annotated[bool, typer.Option("--strict", help="Also exit with 1 if a problem was found.")] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", metavar="FOLDER", help="Write a diagram of each path that violates a claim to this folder."
        ),
    ] = None,
    scripts: Annotated[
        Path | None,
        typer.Option(
            "--scripts",
            metavar="FOLDER",
            help="Write scripts that replay each such path to this folder: in the stepper, and from outside the graph.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the claims of a workflow, and report problems in it. Exit code 1 means that a claim does not hold."""
    app = load_app(workflow)
    definition = _definition(app)
    proofs, findings = _proofs(app, bound), find(definition, roles=role or (), bound=bound)
    if junit is not None:
        with writing(junit), whole_file(junit) as file:
            file.write(_junit(app.name, proofs))
    module = READY_MADE.get(app.name, app.name)
    written = [
        *_write(proofs, pictures, ".svg", lambda proof: picture_of_proof(definition, proof).svg),
        *_write(proofs, scripts, ".py", lambda proof: script_of(definition, proof, module)),
        *_write(
            proofs,
            scripts,
            "_door.py",
            lambda proof: (
                script_of(definition, proof, module, at_the_door=True) if can_go_through_the_door(proof) else None
            ),
        ),
    ]
    if as_json:
        print_json({"claims": [*map(_proof_json, proofs)], "findings": [*map(_finding_json, findings)]})
    else:
        _print(proofs, findings)
        for path in written:
            console().print(Text(f"wrote {path}", style="dim"))
    if not all(proof.holds for proof in proofs) or (strict and findings):
        raise typer.Exit(ExitCode.NO)


def access(  # noqa: PLR0917 -- the options of a command
    workflow: AppOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="MODULE:WORKFLOW",
            help="An older version: show what became possible and what became impossible.",
        ),
    ] = None,
    db: DbOption = None,
    tenant: Annotated[str | None, typer.Option(help="With --db: only instances of this tenant.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table for a manual.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print who can call what, in which state, and who must approve it. With --since, print the differences from an
    older version; with --db as well, the running instances that are affected.
    """
    definition = _definition(load_app(workflow))
    show = _rows_as_csv if csv else _rows_as_markdown if markdown else _print_rows
    if since is None:
        rows = access_review(definition)
        print_json([*map(_row_json, rows)]) if as_json else show(rows)
        return
    changes = access_changes(_definition(load_app(since)), definition)
    touched = None if db is None else _touched(changes, db, tenant)
    if as_json:
        print_json(_changes_json(changes, touched))
        return
    for heading, rows in (
        ("became possible", [*changes.became_possible]),
        ("became impossible", [*changes.became_impossible]),
    ):
        console().print(Text(heading, style="bold"))
        show(rows)
    if changes.states_gone:
        console().print(Text(f"instances in these states are stranded: {', '.join(changes.states_gone)}", style="red"))
    if touched is not None:
        _print_touched(touched)


def _touched(changes: AccessChange, db: str, tenant: str | None) -> list[tuple[Running, Touch]]:
    with closing(open_store(db)) as store, store.read() as connection:
        standing = [*running(connection, changes.newer.name, tenant=tenant)]
    found = ((one, changes.touch(one.state, one.version)) for one in standing)
    return [(one, touch) for one, touch in found if touch is not None]


def _print_touched(touched: list[tuple[Running, Touch]]) -> None:
    console().print(Text("running instances that it touches", style="bold"))
    print_table(
        ("instance", "version", "state", "touched"),
        ((one.workflow_id, one.version, one.state, touch.value) for one, touch in touched),
        empty="None.",
    )


def _changes_json(changes: AccessChange, touched: list[tuple[Running, Touch]] | None) -> JsonObject:
    told: JsonObject = {
        "becamePossible": [*map(_row_json, changes.became_possible)],
        "becameImpossible": [*map(_row_json, changes.became_impossible)],
        "statesGone": [*changes.states_gone],
        "statesTouched": [*changes.touches],
    }
    if touched is not None:
        told["instances"] = [
            {"workflowId": one.workflow_id, "version": one.version, "state": one.state, "touched": touch.value}
            for one, touch in touched
        ]
    return told


def _definition(app: App) -> Definition:
    """The definition without proving its claims, because the command has to show broken claims."""
    return app.workflow.checked() if isinstance(app.workflow, Workflow) else app.workflow.engine.definition


def _proofs(app: App, bound: int) -> list[Proof]:
    """The proofs of the claims; a compiled graph contains those of its compilation."""
    return app.workflow.prove(bound=bound) if isinstance(app.workflow, Workflow) else []


def _write(
    proofs: list[Proof], folder: Path | None, ending: str, made: Callable[[Proof], str | None]
) -> Iterator[Path]:
    """Write a file for each broken claim, named by the claim's number."""
    if folder is None:
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, proof in enumerate(proofs, 1):
            text = None if proof.counterexample is None else made(proof)
            if text is not None:
                path = folder / f"claim_{number}{ending}"
                with whole_file(path) as file:
                    file.write(text)
                yield path


def _print(proofs: list[Proof], findings: list[Finding]) -> None:
    out = console()
    for proof in proofs:
        heading, *rest = in_words(proof).split("\n")
        out.print(Text(visible(heading), style=_STYLES[proof.verdict]))
        for line in rest:
            out.print(Text(visible(line)))
    if not proofs:
        out.print(
            Text(
                "Nothing is claimed. Workflow.claims(...) takes sentences such as always_possible(final).", style="dim"
            )
        )
    if proofs:
        kept = sum(proof.holds for proof in proofs)
        most = max(proof.situations for proof in proofs)
        out.print(
            Text(f"{kept} of {len(proofs)} claims proved; at most {most} situations visited for one", style="bold")
        )
    for finding in findings:
        out.print(Text.assemble((f"{finding.kind}  ", "yellow"), (visible(finding.where), "bold")))
        out.print(Text(f"  {visible(finding.message)}"))


def _rows_as_csv(rows: list[AccessRow]) -> None:
    typer.echo(as_csv(rows), nl=False)


def _rows_as_markdown(rows: list[AccessRow]) -> None:
    typer.echo(as_markdown(rows), nl=False)


def _print_rows(rows: list[AccessRow]) -> None:
    print_table(
        ("state", "tool", "leads to", "who", "decided by", "condition"),
        (
            (row.state, row.tool, row.leads_to, row.role or "anybody", row.decided_by or "nobody", row.condition)
            for row in rows
        ),
    )


def _row_json(row: AccessRow) -> JsonObject:
    return {
        "state": row.state,
        "tool": row.tool,
        "leadsTo": row.leads_to,
        "role": row.role or None,
        "decidedBy": row.decided_by or None,
        "condition": row.condition or None,
    }


def _proof_json(proof: Proof) -> JsonObject:
    path = proof.counterexample
    return {
        "claim": str(proof.claim),
        "sentence": proof.claim.sentence,
        "verdict": proof.verdict.value,
        "assumptions": [str(one) for one in proof.claim.assumptions],
        "situations": proof.situations,
        "bound": proof.bound,
        "path": None if path is None else [*path_in_words(path)],
    }


def _finding_json(finding: Finding) -> JsonObject:
    return {"kind": finding.kind.value, "where": finding.where, "message": finding.message}


def _junit(name: str, proofs: list[Proof]) -> str:
    """A JUnit XML report: one test case for each claim."""
    broken = sum(not proof.holds for proof in proofs)
    suite = ElementTree.Element("testsuite", name=f"claims of {name}", tests=str(len(proofs)), failures=str(broken))
    for proof in proofs:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=str(proof.claim))
        if not proof.holds:
            failure = ElementTree.SubElement(case, "failure", message=proof.verdict.value)
            failure.text = visible(in_words(proof))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


__all__ = ["access", "check", "register"]
