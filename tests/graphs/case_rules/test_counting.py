"""What `view.carried_out` reads: the calls that may have the values that are asked about, and not all that were ever carried out."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from interlock import GuardView, Principal, SQLCheckpointer, Workflow, WorkflowStore, command
from interlock.checkpointing.encryption import Encryption
from interlock.checkpointing.store import ledger as ledger_rows
from interlock.commands.running.facts import has
from interlock.testing import ScriptedChatModel
from tests.graphs.case_rules.support import Case, Place

LONG = "x" * 300
VALUES: list[Any] = [
    "7", "70", "a_b", "aXb", "50%", "50 off", "a/b", 'say "no"', "back\\slash", "C:\\", "ÄÖ", "äö", "😀", "new\nline", "",
    LONG + "a", LONG + "b", "\\" * 250, 7, 70, 7.0, 7.5, 7.55, -7, 0, 0.1, 1e-7, 1e15, 10**15, 1e16, 2**60, True, False, None,
    ["7"], {"orderId": "7"}, "7,",
]  # fmt: skip


@command("note.add", effect="transactional")
def note(value: JsonValue = None, other: str = "-") -> str:
    """Write a note."""
    return "noted"


@command("note.look", effect="transactional", check=lambda view: bool(view.carried_out(note, value="7")))
def look() -> str:
    """Look."""
    return "looked"


def flow(model: ScriptedChatModel) -> Workflow:
    made = Workflow("notes", model=model)
    made.add_state("open")
    made.add_edge("open", note, "open")
    return made.add_edge("open", look, "open")


def noted(case: Case) -> None:
    case.begin()
    for number, value in enumerate(VALUES):
        assert case.propose("note.add", f"k-{number}", value=value).ok, value


def asked(case: Case, value: Any, other: Any = "-") -> tuple[int, int]:
    """How many calls the database gives, and how many of them have the value."""
    wanted = {"value": value, "other": other}
    with case.engine.store.read() as connection:
        found = ledger_rows.completed_with(connection, case.id, "note.add", wanted)
    return len(found), sum(has(one, wanted) for one in found)


def view_of(case: Case) -> GuardView:
    view: GuardView = case.engine.view(case.row, case.principal)
    return view


def test_the_database_leaves_out_what_cannot_match_and_nothing_that_does(home: Place) -> None:
    case = home.open(flow, [], way="door")
    noted(case)
    with case.engine.store.read() as connection:
        every = ledger_rows.completed_with(connection, case.id, "note.add", {})
    assert len(every) == len(VALUES)
    for value in [*VALUES, "nothing like it", 8, 7.25]:
        given, matching = asked(case, value)
        assert matching == sum(has(one, {"value": value}) for one in every), value
        is_narrow = isinstance(value, str | bool | int | float) and not (
            isinstance(value, int | float) and abs(value) >= 10**15
        )
        assert given <= (6 if is_narrow else len(VALUES)), value
        assert view_of(case).carried_out(note, value=value) == matching
    assert asked(case, "7", other="+") == (0, 0)
    assert view_of(case).carried_out(note) == len(VALUES)
    assert view_of(case).carried_out("note.look") == 0


def test_encrypted_arguments_are_compared_with_the_key(tmp_path: Any) -> None:
    key = Encryption({"k1": b"k" * 32})
    with SQLCheckpointer(f"sqlite:///{tmp_path}/notes.db", encryption=key) as saver:
        graph = flow(ScriptedChatModel([])).compile(saver, workflow_store=WorkflowStore(saver.database))
        case = Case(graph, graph.instances, graph.engine, "door", Principal("ann"))
        noted(case)
        given, matching = asked(case, "7")
        assert (given, matching) == (len(VALUES), 1)
        assert view_of(case).carried_out(note, value="7") == 1
