"""The demo on a terminal: calm, in 80 columns, one line for each thing that happens."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text
from typing_extensions import override

from ...checkpointing.store import AuditRecord, Instance
from ...checkpointing.store.audit import Broken
from ...pictures.record_text import reason_of
from ...tools.canonical import JsonObject
from ..instances import print_verdict
from ..support.asking import show_request
from ..support.output import console, program, short, visible
from ..support.trail import print_trail
from .cases import Case
from .desk import Desk
from .playing import Teller


class Screen(Teller):
    """Tells it to a person.

    Args:
        db: The database as it was named, for the commands that are suggested at the end.
    """

    def __init__(self, db: str) -> None:
        self._db = db
        self._out: Console = console()
        self._last_offer: tuple[str, tuple[str, ...]] | None = None
        self._offers: set[tuple[str, tuple[str, ...]]] = set()
        self._speaker: str | None = None

    def opened(self, desk: Desk) -> None:
        """Say what this is."""
        self._out.print(Text("Interlock: the model proposes, the graph disposes.", style="bold"))
        if desk.is_new:
            what = (
                "Customers come to the desk of a small shop, and a scripted model serves them. What it may call is read off "
                "the edges of a workflow and checked again where the tool runs. When something is to be changed you are "
                "the customer, and asked. Stop whenever you like (Ctrl-C); run it again and it continues where it was."
            )
        else:
            what = "Resuming where the last run stopped."
        self._out.print(Text(what, style="dim"))

    @override
    def case(self, number: int, total: int, case: Case) -> None:
        self._last_offer = self._speaker = None
        self._out.print()
        self._out.print(Rule(Text(f"{number} of {total}  {case.title}", style="bold"), align="left", style="dim"))
        self._out.print(Text(case.note, style="dim"))

    @override
    def resumed(self, instance: Instance) -> None:
        self._out.print()
        self._out.print(
            Text(
                f"It is in {instance.state}, at revision {instance.revision}, with {instance.audit_count} records.",
                style="cyan",
            )
        )

    @override
    def customer(self, case: Case, text: str) -> None:
        self._says(case.customer, text, "cyan")

    @override
    def desk(self, text: str) -> None:
        self._says("Desk", text, "magenta")

    @override
    def offered(self, state: str, tools: list[str]) -> None:
        offer = (state, tuple(tools))
        if offer == self._last_offer:
            return
        self._last_offer, self._speaker = offer, None
        known = offer in self._offers
        self._offers.add(offer)
        what = (
            f", with the same {len(tools)} tools as before" if known else f", where the edges offer {len(tools)} tools"
        )
        self._out.print()
        self._out.print(Text.assemble(("in ", "dim"), (state, "bold"), (what, "dim")))
        if not known:
            self._out.print(Padding(Text(", ".join(tools), style="dim"), (0, 0, 0, 2)))

    @override
    def proposed(self, tool: str, arguments: Mapping[str, Any]) -> None:
        self._speaker = None
        said = ", ".join(f"{name} {short(_in_words(value))}" for name, value in arguments.items())
        self._out.print()
        self._line("?", "bold", Text.assemble("proposes ", (short(tool), "bold"), f"  {visible(said)}"))

    @override
    def asked(self, request: JsonObject) -> None:
        who = "the customer" if request["type"] == "confirmation" else "another person"
        self._line("!", "yellow", Text(f"waits: {who} decides on exactly this", style="yellow"))
        self._out.print()
        show_request(request)

    @override
    def decided(self, request: JsonObject, answer: JsonObject, by: str) -> None:
        did = {"approve": "approved", "edit": "edited and approved", "reject": "turned down", "respond": "answered"}
        word = did[str(answer["type"])]
        said = f": {visible(answer['message'])}" if answer.get("message") else ""
        agreed = answer["type"] in {"approve", "edit"}
        self._out.print()
        self._line("✓" if agreed else "✗", "green" if agreed else "red", Text(f"{word} by {visible(by)}{said}"))

    @override
    def outcome(self, event: JsonObject) -> None:
        result: Any = event["result"]
        again = " (the stored result: it had been carried out before)" if event.get("replayed") else ""
        if event["type"] == "interlock.denial":
            error = result["error"]
            self._line("✗", "red", Text.assemble((f"{_stopped_by(error['code'])} {error['code']}", "red")))
            self._out.print(Padding(Text(short(reason_of(error), 400)), (0, 0, 0, 4)))
        elif event["type"] == "interlock.transition":
            before, after = result["previousState"], result["currentState"]
            moved = f"stays in {after}" if before == after else f"{before} → {after}"
            self._line("✓", "green", Text.assemble(("carried out", "green"), f"  {moved}{again}"))
        else:
            answer = Text(short(_in_brief(result["output"]), 150), style="dim")
            self._line("✓", "green", Text.assemble(("answered", "green"), "  ", answer))

    @override
    def trail(self, case: Case, instance: Instance, records: list[AuditRecord], broken: list[Broken]) -> None:
        self._out.print()
        self._out.print(Rule(Text(f"The record of: {case.title}", style="bold"), align="left", style="dim"))
        self._out.print(Text(f"{instance.workflow_id}, in {instance.state}, revision {instance.revision}", style="dim"))
        self._out.print()
        print_trail(records)
        print_verdict(len(records), broken)

    @override
    def end(self, desk: Desk) -> None:
        first = desk.graph.instances.id_of({"configurable": {"thread_id": f"demo-{desk.run}-cancel"}})
        here = program()
        self._out.print()
        self._out.print(Text("What to look at now", style="bold"))
        for command, what in (
            (f"{here} show retail", "the workflow as a diagram"),
            (f"{here} instances --db {self._db}", "all that is in the database"),
            (f"{here} audit --db {self._db} {first}", "the record of one case, checked"),
            (f"{here} demo", "again, with the shop set back"),
        ):
            self._out.print(Text.assemble("  ", (command, "bold"), (f"\n      {what}", "dim")), soft_wrap=True)

    def stopped(self) -> None:
        """Say that it was stopped, and that nothing is lost."""
        self._out.print()
        self._out.print(
            Text("Stopped. All that happened is kept; run it again and it continues from here.", style="bold")
        )

    def _says(self, who: str, text: str, style: str) -> None:
        if self._speaker != who:
            self._out.print()
            self._out.print(Text(who, style=f"bold {style}"))
        self._speaker = who
        self._out.print(Padding(Text(visible(text)), (0, 0, 0, 2)))

    def _line(self, mark: str, style: str, text: Text) -> None:
        self._out.print(Padding(Text.assemble((f"{mark} ", style), text), (0, 0, 0, 2)))


def _stopped_by(code: str) -> str:
    return {"refused": "the tool said no:", "approval_rejected": "not done:"}.get(code, "denied:")


def _in_words(value: Any) -> str:
    """A value on one line, without the braces of JSON."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return str(value)


def _in_brief(value: Any) -> str:
    """The scalar fields of an answer, and the lengths of its lists."""
    if not isinstance(value, Mapping):
        return _in_words(value)
    found = []
    for name, one in value.items():
        if isinstance(one, (list, Mapping)):
            found.append(f"{len(one)} {name}" if one else "")
        elif one is not None:
            found.append(f"{name} {one}")
    return ", ".join(filter(None, found))


__all__ = ["Screen"]
