"""A path that breaks a claim is one that the compiled workflow goes: as a script that replays it, and as a picture."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from interlock import Approval, Confirmation, Escalate, Event, LimitPerRun, RequireRole, Workflow
from interlock.pictures.proof import picture_of_proof
from interlock.rules.claims import (
    Claim,
    Proof,
    always_possible,
    approval,
    at_most,
    before,
    calls,
    check,
    final,
    never,
    only,
    state,
)
from interlock.rules.claims.script import can_go_through_the_door, script_of
from interlock.rules.conditions import Add, field, has_role, one_of
from interlock.rules.definition import Definition
from interlock.testing import PathNotTaken, Replay

from .support import definition_of, look, write
from .test_claims_mutants import WORKFLOWS, mutants

MOST = 1_000_000 if os.environ.get("INTERLOCK_FULL") else 3
"""How many counterexamples of each claim of the shipped workflows are replayed."""
REPLAYED: Any = None
"""What the scripts of these tests import."""

refund = write("order.refund", destructive=True)
cancel = write("order.cancel")
identify = look("customer.identify")
outside = write("bank.pay", effect="idempotent")
once_only = write("bank.wire", effect="at_most_once")


class Paid(Event, name="payment.paid"):
    amount: int


class Bounced(Event, name="payment.bounced"):
    amount: int


class Data(BaseModel):
    count: int = 0
    stage: Literal["new", "seen", "done"] = "new"
    name: str


def seen(data: Data, event: Paid) -> None:
    data.stage = "seen"


def maybe(view: object) -> bool:
    return False


def named(definition: Definition) -> Definition:
    """The mutant with a node of its own for each edge, as the builder names them."""
    edges = (replace(edge, node=f"{edge.source}/{number}") for number, edge in enumerate(definition.edges))
    return replace(definition, edges=tuple(edges))


def replayed(
    definition: Definition, proof: Proof, monkeypatch: pytest.MonkeyPatch, *, at_the_door: bool = False
) -> Replay:
    """Run the script of a counterexample; what it leaves behind."""
    monkeypatch.setattr(sys.modules[__name__], "REPLAYED", definition)
    script = script_of(definition, proof, f"{__name__}:REPLAYED", at_the_door=at_the_door)
    names: dict[str, Any] = {}
    exec(compile(script, f"<{proof.claim}>", "exec"), names)  # noqa: S102 -- ours
    found: Replay = names["replay"]
    return found


WAITING = {
    "new": {},
    "held": {"wait": True},
    "paid": {},
    "late": {},
    "closed": {"final": True},
}


def waiting(**options: Any) -> Definition:
    flow = Workflow("waiting", data=Data, **options)
    flow.add_state("new")
    flow.add_wait(
        "held",
        for_event=Paid,
        then="paid",
        within="2h",
        on_timeout="late",
        failed_by=Bounced,
        on_failure="closed",
        key=[("amount", "count")],
        apply=seen,
    )
    flow.add_state("paid")
    flow.add_state("late")
    flow.add_state("closed", final=True)
    flow.add_edge("new", cancel, "held", sets={"stage": one_of("new", "done")})
    flow.add_edge("paid", refund, "closed", guard=field("stage").equals("seen"))
    flow.add_edge("late", refund, "late", guard=field("count").below(3), sets={"count": Add(1)})
    flow.add_edge("late", cancel, "closed", guard=~field("count").below(1))
    return flow.checked()


def desk(**refunding: Any) -> Definition:
    return definition_of(
        {"new": {}, "known": {}, "closed": {"final": True}},
        [("new", identify, "known"), ("known", refund, "known", refunding), ("known", cancel, "closed")],
    )


def one_state(*edges: tuple[Any, ...], **options: Any) -> Definition:
    return definition_of(
        {"open": {}, "held": {}, "closed": {"final": True}}, [*edges, ("held", cancel, "closed")], **options
    )


CASES: dict[str, tuple[Definition, Claim]] = {
    "a call that nobody is asked about": (desk(), never(refund).without(approval())),
    "a condition that asks nobody": (desk(approval=Approval(when=lambda: True)), never(refund).without(approval())),
    "an approval by another role": (desk(approval=Approval(role="boss")), never(refund).without(approval(role="lead"))),
    "two people and a confirmation": (desk(approval=Confirmation(then=Approval(count=2))), at_most(refund, 1)),
    "a decision by a role that it was escalated to": (
        desk(approval=Approval(role="lead", within="1h", on_expiry=Escalate("boss"))),
        never(refund).without(approval(role="lead")),
    ),
    "a guard that says yes": (desk(guard=maybe), never(refund)),
    "a guard that says no, and the next edge of the tool": (
        one_state(("open", cancel, "closed", {"guard": maybe, "order": 0}), ("open", cancel, "held", {"order": 1})),
        never(state("held")),
    ),
    "a role that a policy takes": (
        one_state(("open", refund, "open"), ("open", cancel, "held"), policies=[RequireRole("agent", [refund])]),
        only(role="boss").reaches(refund),
    ),
    "a role that a guard takes": (
        one_state(("open", refund, "open", {"guard": has_role("agent")}), ("open", cancel, "held")),
        never(refund),
    ),
    "a fork that forgets a limit": (
        one_state(("open", refund, "open"), ("open", cancel, "held"), policies=[LimitPerRun(1, [refund])]),
        at_most(refund, 1),
    ),
    "an attempt of unknown outcome, settled on another edge": (
        one_state(("open", outside, "closed", {"guard": maybe, "order": 0}), ("open", outside, "held", {"order": 1})),
        never(state("held") & calls(outside)),
    ),
    "an attempt that is never repeated": (one_state(("open", once_only, "held")), never(once_only)),
    "events that end a wait": (waiting(), never(calls(refund) & state("closed"))),
    "an event that says that it failed": (waiting(), never(state("closed"))),
    "a deadline, and a counter": (waiting(), at_most(refund, 2)),
    "a trap": (
        definition_of({"open": {}, "trap": {}, "closed": {"final": True}}, [
            ("open", cancel, "closed"), ("open", identify, "trap"), ("trap", refund, "trap"),
        ]),
        always_possible(final),
    ),
    "an instance of an earlier version": (
        definition_of(
            {"new": {}, "known": {}, "closed": {"final": True}},
            [("new", identify, "known"), ("known", refund, "known"), ("known", cancel, "closed")],
            version=2,
        ),
        before(refund, identify),
    ),
}  # fmt: skip


@pytest.mark.parametrize("at_the_door", [False, True], ids=["stepper", "door"])
@pytest.mark.parametrize("name", CASES)
def test_the_script_of_a_counterexample_replays_it_in_the_compiled_workflow(
    name: str, at_the_door: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition, claim = CASES[name]
    (proof,) = check(definition, [claim])
    assert proof.counterexample is not None
    if at_the_door and not can_go_through_the_door(proof):
        with pytest.raises(PathNotTaken, match="fork"):
            replayed(definition, proof, monkeypatch, at_the_door=True)
        return

    replay = replayed(definition, proof, monkeypatch, at_the_door=at_the_door)

    assert replay.state == proof.counterexample.situations[-1].state


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_counterexample_of_a_mutated_workflow_is_replayed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = WORKFLOWS[name]()
    replays: dict[str, int] = {}
    for mutant in mutants(workflow.definition()):
        for claim in workflow.claimed:
            if replays.get(str(claim), 0) >= MOST:
                continue
            try:
                (proof,) = check(mutant.definition, [claim])
            except Exception:  # noqa: S112 -- the claim names what the mutant lost: there is no path to replay
                continue
            if proof.counterexample is not None:
                replay = replayed(named(mutant.definition), proof, monkeypatch)
                assert replay.state == proof.counterexample.situations[-1].state, mutant
                replays[str(claim)] = replays.get(str(claim), 0) + 1

    assert len(replays) >= len(workflow.claimed) - 1  # no mutation of the desk leads out of a final state


def test_a_replay_that_does_something_else_says_where_it_stands() -> None:
    replay = Replay(desk()).call("customer.identify", "known")

    with pytest.raises(PathNotTaken, match="no such edge"):
        replay.call("order.cancel", "new")
    with pytest.raises(PathNotTaken, match="is in 'known'"):
        replay.deadline("closed")


def test_a_script_runs_by_itself(tmp_path: Path) -> None:
    definition = WORKFLOWS["case"]().checked()
    (proof,) = check(definition, [never("case.close")])
    script = tmp_path / "replay.py"
    script.write_text(script_of(definition, proof, "interlock.workflows.case.workflow:case_workflow"), "utf-8")

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)

    assert "the turn is over" in done.stdout


def test_a_picture_lights_the_path_and_numbers_its_steps() -> None:
    definition, claim = CASES["two people and a confirmation"]
    (proof,) = check(definition, [claim])

    picture = picture_of_proof(definition, proof)
    root = ET.fromstring(picture.svg)
    written = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert {"step 1", "step 2, 3", "the path ends here", "new ✓"} <= set(written)
    assert any(text.startswith("broken: order.refund happens at most 1 time") for text in written)
    assert "2. in 'known': anybody calls order.refund" in str(picture)


def test_the_picture_of_a_claim_that_holds_lights_nothing() -> None:
    flow = Workflow("desk")
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", cancel, "closed")
    (proof,) = flow.prove(always_possible(final))

    assert flow.picture_of(proof).svg == flow.picture().svg
