"""`interlock show`: a workflow as a diagram."""

import json
from pathlib import Path

import pytest

from interlock import Approval, Confirmation, Workflow, command
from interlock.pictures.picture_data import Drawing, asked
from interlock.workflows.retail import retail_workflow
from tests.cli.support import run

WORKFLOW = '''
from interlock import Approval, Workflow, command, read


@read("order.get")
def get_order(order_id: str) -> str:
    """Look up one order."""
    return order_id


@command("order.refund")
def refund(order_id: str) -> str:
    """Refund an order."""
    return order_id


def is_small(view):
    return True


desk = Workflow("desk")
desk.add_state("open", tools=[get_order])
desk.add_state("closed", final=True)
desk.add_edge("open", refund, "closed", guard=is_small, approval=Approval(role="supervisor", within="24h"))
compiled = desk.compile()


def make():
    return desk
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shown_desk.py").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", ["desk", "compiled", "make"])
def test_states_tools_guards_and_approvals_are_shown(here: Path, what: str):
    shown = run("show", f"shown_desk:{what}").stdout
    assert "● open  starts here" in shown
    assert "◎ closed  the end" in shown
    (edge,) = [line for line in shown.splitlines() if "order.refund" in line]
    assert "command" in edge
    assert "→ closed" in edge
    assert "approval by supervisor within 24 h" in " ".join(shown.split())
    assert "if is_small" in " ".join(shown.split())
    (read,) = [line for line in shown.splitlines() if "order.get" in line]
    assert "stays" in read


def test_json_carries_all_that_is_drawn(here: Path):
    drawn = json.loads(run("show", "shown_desk:desk", "--json").stdout)
    assert drawn["workflow"] == "desk"
    first, last = drawn["states"]
    assert (first["name"], first["initial"], first["final"]) == ("open", True, False)
    assert (last["name"], last["edges"]) == ("closed", [])
    refund = next(edge for edge in first["edges"] if edge["tool"] == "order.refund")
    assert refund == {
        "tool": "order.refund",
        "version": 1,
        "kind": "command",
        "effect": "at_most_once",
        "description": "Refund an order.",
        "target": "closed",
        "moves": True,
        "guard": "is_small",
        "checked": False,
        "approval": "approval by supervisor within 24 h",
    }


def test_mermaid_draws_what_moves_as_arrows_and_names_reads_in_their_state(here: Path):
    assert run("show", "shown_desk:desk", "--mermaid").stdout == (
        "stateDiagram-v2\n"
        '    state "open<br/><small>order.get</small>" as s0\n'
        '    state "closed" as s1\n'
        "    [*] --> s0\n"
        "    s0 --> s1: order.refund [is_small] (approval by supervisor within 24 h)\n"
        "    s1 --> [*]\n"
    )


def test_the_retail_desk_is_shown_by_name():
    shown = run("show", "retail").stdout
    assert "unidentified" in shown
    assert "order.cancel" in shown
    assert "confirmation" in shown


def test_the_drawing_has_every_edge_of_the_definition_and_no_other():
    definition = retail_workflow().definition()
    drawing = Drawing.of(definition)
    assert {(state.name, edge.tool, edge.target) for state in drawing.states for edge in state.edges} == {
        (edge.source, edge.tool.name, edge.target) for edge in definition.edges
    }


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Approval(), "approval"),
        (Approval(role="lead"), "approval by lead"),
        (Approval(count=2), "approval by 2 people"),
        (Approval(count=2, role="lead"), "approval by 2 of role lead"),
        (Approval(within="90s"), "approval within 90 s"),
        (Approval(within="3d"), "approval within 3 d"),
        (Confirmation(within="30m"), "confirmation within 30 min"),
        (Approval(when=lambda amount: amount > 100), "approval under a condition"),
    ],
)
def test_an_approval_is_put_in_a_few_words(rule: Approval, words: str):
    assert asked(rule) == words


def test_names_with_marks_of_mermaid_do_not_break_the_diagram():
    def guard(view):
        return True

    guard.__name__ = 'a"<b>: c;'

    @command("x.y")
    def tool() -> str:
        """Do it."""
        return "done"

    flow = Workflow("odd")
    flow.add_state("one")
    flow.add_state("two", final=True)
    flow.add_edge("one", tool, "two", guard=guard)
    assert "[a#quot;#lt;b#gt;#58; c#59;]" in Drawing.of(flow.definition()).to_mermaid()
