"""A random walk through compiled workflows never leaves the paths that a proof explores.

Somebody proposes any tool at all, allowed or not; guards, checks and conditions of approvals say yes or no by chance; people
approve, edit, reject, or may not decide; effects break off, and a person settles them. After each turn the audit trail's
transitions are followed in the explored paths: each has to be a step from one of the situations that the ones before it allow.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel

from interlock import (
    Approval,
    Confirmation,
    InterlockError,
    LimitPerRun,
    Principal,
    RequireRole,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
)
from interlock.checkpointing.store import AuditKind, AuditRecord
from interlock.rules.claims.paths import Paths, Situation
from interlock.rules.conditions import Add, field
from interlock.rules.definition import Limits

STEPS = 10_000 if os.environ.get("INTERLOCK_FULL") else 200
"""How many transitions are followed, over all seeds."""
SEEDS = 8
PEOPLE = [
    Principal("ada", roles=frozenset({"agent"})),
    Principal("bob", roles=frozenset({"boss"})),
    Principal("cy", roles=frozenset({"agent", "boss"})),
    Principal("dan"),
]
APPROVALS = [
    None,
    None,
    Approval(role="boss"),
    Approval(),
    Confirmation(then=Approval(role="boss")),
    Approval(count=2),
]


class Data(BaseModel):
    count: int = 0


def tool(name: str, chance: random.Random, *, outside: bool, counts: bool) -> Any:
    effect: Any = "at_most_once" if outside else "transactional"

    @command(name, effect=effect)
    def body(ctx: ToolContext[Data]) -> str:
        """Do something, now and then in vain."""
        if outside and chance.random() < 0.2:
            raise RuntimeError("it broke off")
        if counts:
            ctx.data.count += 1
        return "done"

    return body


def generated(seed: int, *, run_by: str = "served") -> tuple[Workflow, list[Any]]:
    """A workflow of a few states, of which every one can be left."""
    chance = random.Random(seed)
    counts = chance.random() < 0.5
    tools = [tool(f"t.n{number}", chance, outside=number == 2, counts=counts) for number in range(4)]

    def propose(view: Any) -> Any:
        return None if chance.random() < 0.3 else (chance.choice(tools), {})

    def perhaps(view: Any) -> bool:
        return chance.random() < 0.7

    size = chance.randint(2, 4)
    states = [f"s{number}" for number in range(size)]
    policies: list[Any] = []
    if chance.random() < 0.5:
        policies.append(LimitPerRun(chance.randint(1, 3), [tools[0]]))
    if chance.random() < 0.5:
        policies.append(RequireRole("agent", [tools[1]]))
    flow = Workflow("walked", data=Data, policies=policies, limits=Limits(denials=3, calls=6), run_by=run_by)
    for state in states[:-1]:
        flow.add_state(state, decide=propose)
    flow.add_state(states[-1], final=True)
    orders: dict[tuple[str, str], int] = {}
    seen: set[tuple[str, str, str]] = set()
    wanted = [*itertools.pairwise(states), *((chance.choice(states[:-1]), chance.choice(states)) for _ in range(5))]
    for source, target in wanted:
        one = chance.choice(tools)
        if (source, one.name, target) in seen:
            continue
        seen.add((source, one.name, target))
        rule = chance.choice(APPROVALS)
        if rule is not None and chance.random() < 0.3:
            rule = Approval(role="boss", when=lambda: chance.random() < 0.5)
        guard: Any = chance.choice([None, perhaps, field("count").below(3) if counts else perhaps])
        flow.add_edge(
            source,
            one,
            target,
            guard=guard,
            approval=rule,
            sets={"count": Add(1)} if counts else None,
            order=orders.setdefault((source, one.name), 0),
        )
        orders[source, one.name] += 1
    return flow, tools


def answers(chance: random.Random, value: dict[str, Any]) -> Any:
    if value["type"] == "outcome_unknown":
        return chance.choice([{"type": "happened", "output": "done"}, {"type": "failed"}, {"type": "retry"}])
    return chance.choice(["approve", "approve", "approve", {"type": "reject", "message": "no"}])


def turn(graph: WorkflowGraph, config: Any, chance: random.Random) -> None:
    """One message, and a few answers to what it asks."""
    with_message: Any = {"messages": [("user", "go on")]}
    given = with_message
    for _ in range(6):
        # Some may not decide, and some runs are stopped by a limit: the record is what counts.
        with contextlib.suppress(InterlockError):
            graph.invoke(given, config, context=chance.choice(PEOPLE))
        waiting = graph.get_state(config).interrupts
        if not waiting:
            return
        given = Command(resume={waiting[0].id: answers(chance, waiting[0].value)})


def follow(paths: Paths, at: set[Situation], record: AuditRecord, granted: int) -> set[Situation]:
    """The situations after a transition of the record, from those before it."""
    payload = record.payload
    assert payload is not None
    return {
        move.to
        for one in at
        for move in paths.moves(one)
        if move.step.tool == record.tool
        and (move.step.source, move.step.target) == (payload["previousState"], payload["currentState"])
        and len(move.step.granted) <= granted
    }


def transitions(records: list[AuditRecord], read: int) -> list[AuditRecord]:
    """The transitions among the records that were not read yet."""
    return [record for record in records[read:] if record.kind is AuditKind.TRANSITION]


def agreed(records: list[AuditRecord], transition: AuditRecord) -> int:
    """How often people agreed to the call of a transition."""
    assert transition.payload is not None
    return sum(
        record.kind is AuditKind.DECISION
        and (record.payload or {}).get("decision") == "approve"
        and (record.payload or {}).get("approvalId") == transition.payload["approvalId"]
        for record in records
    )


def walked(seed: int) -> Iterator[str]:
    """The tools of transitions without an end; each transition was found on an explored path."""
    flow, _ = generated(seed)
    graph = flow.compile(destructive_in_memory=True)
    paths = Paths(graph.engine.definition)
    chance = random.Random(-seed)
    for thread in itertools.count():
        config: Any = {"configurable": {"thread_id": f"t{thread}"}}
        at, read = set(paths.starts()), 0
        for _ in range(12):
            turn(graph, config, chance)
            records = graph.instances.audit(config)
            for record in transitions(records, read):
                at = follow(paths, at, record, agreed(records, record))
                assert at, f"seed {seed}: {record.tool} {record.payload} is on no explored path"
                yield str(record.tool)
            read = len(records)
            if graph.engine.definition.states[str(graph.instances.snapshot(config).state)].is_final:
                break


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_no_instance_leaves_the_explored_paths(seed: int) -> None:
    taken = list(itertools.islice(walked(seed), STEPS // SEEDS))

    assert len(taken) == STEPS // SEEDS
