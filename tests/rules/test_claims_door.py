"""What is proposed at the door never leaves the paths that a proof explores: a stateful property test over generated workflows.

Hypothesis chooses who proposes what, who decides, withdraws and resolves, and shortens a sequence that leaves the paths.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from interlock import InterlockError, Pending
from interlock.rules.claims.paths import Paths, Situation
from interlock.tools.errors import OutcomeUnknown, WorkflowDefinitionError

from .test_claims_walk import PEOPLE, agreed, follow, generated, transitions

FULL = bool(os.environ.get("INTERLOCK_FULL"))
EXAMPLES, STEPS = (250, 60) if FULL else (12, 25)
"""How many sequences, and of how many steps at most."""
TAKEN = [0]
"""How many transitions were followed."""


def sound(seed: int) -> bool:
    """Whether the workflow of a seed is one that compiles: the generator also draws counters without a bound."""
    try:
        generated(seed, run_by="tenant")[0].compile(destructive_in_memory=True)
    except WorkflowDefinitionError:
        return False
    return True


@functools.cache
def seeds() -> tuple[int, ...]:
    """The workflows that are gone through."""
    found = tuple(filter(sound, range(1, 41)))
    assert len(found) > 30
    return found


people, deciders = st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)


class AtTheDoor(RuleBasedStateMachine):
    """One instance of a generated workflow, and everybody at its door."""

    @initialize(seed=st.deferred(lambda: st.sampled_from(seeds())), starter=people)
    def start(self, seed: int, starter: Any) -> None:
        random.seed(seed)
        self.seed = seed
        flow, self.tools = generated(seed, run_by="tenant")
        self.graph = flow.compile(destructive_in_memory=True)
        self.paths = Paths(self.graph.engine.definition)
        self.which = self.graph.instances.start(principal=starter).workflow_id
        self.at: set[Situation] = set(self.paths.starts())
        self.read, self.keys = 0, 0
        self.pending: list[str] = []
        self.broken: list[str] = []

    @rule(tool=st.integers(0, 3), proposer=people, repeat=st.sampled_from([False, False, False, True]))
    def propose(self, tool: int, proposer: Any, repeat: bool) -> None:
        """Propose any tool at all, now and then under a key that was used."""
        self._propose(tool, proposer, repeat=repeat)

    @rule(which=st.integers(0, 99), proposer=people, granted=st.booleans())
    def propose_what_is_offered(self, which: int, proposer: Any, granted: bool) -> None:
        """Propose a tool that is offered, and perhaps have everybody decide for it."""
        offered = self.graph.instances.snapshot(self.which, principal=proposer).next_allowed_tools
        if not offered:
            return
        waited = len(self.pending)
        tools = [tool.name for tool in self.tools]
        self._propose(tools.index(offered[which % len(offered)]), proposer, repeat=False)
        if granted and len(self.pending) > waited:
            for by in [*PEOPLE, *PEOPLE]:
                self.decide(-1, by, "approve")
            self.carry_out(-1)

    def _propose(self, tool: int, proposer: Any, *, repeat: bool) -> None:
        self.keys += not repeat
        key = f"key-{self.keys}"
        try:
            stood = self.graph.instances.propose(self.which, self.tools[tool], {}, principal=proposer, key=key)
        except OutcomeUnknown:
            self.broken.append(key)
        except InterlockError:
            pass  # not theirs, used before, or not now
        else:
            if isinstance(stood, Pending):
                self.pending.append(stood.pending.proposal_id)

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 99), by=deciders, decision=st.sampled_from(["approve", "approve", "approve", "reject"]))
    def decide(self, which: int, by: Any, decision: str) -> None:
        """Decide on a proposal, entitled or not."""
        proposal = self.pending[which % len(self.pending)]
        with contextlib.suppress(InterlockError):
            self.graph.instances.decide(proposal, decision, by=by)

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 99))
    def carry_out(self, which: int) -> None:
        """Ask what became of a proposal, which carries it out when it was granted."""
        proposal = self.pending[which % len(self.pending)]
        try:
            self.graph.instances.proposal(proposal)
        except OutcomeUnknown:
            self.broken.append(proposal)
        except InterlockError:
            pass

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 99), by=people)
    def withdraw(self, which: int, by: Any) -> None:
        """Withdraw a proposal, entitled or not."""
        with contextlib.suppress(InterlockError):
            self.graph.instances.withdraw(self.pending[which % len(self.pending)], by=by)

    @precondition(lambda self: self.broken)
    @rule(found=st.sampled_from(["happened", "failed", "retry"]), by=people)
    def resolve(self, found: str, by: Any) -> None:
        """Say what became of an attempt that broke off."""
        with contextlib.suppress(InterlockError):
            self.graph.instances.resolve(self.which, found, by=by, output="done" if found == "happened" else None)
            self.broken.clear()

    @rule()
    def tick(self) -> None:
        """Let what is due happen, and what was granted be carried out."""
        self.graph.instances.tick()

    @invariant()
    def stays_on_the_explored_paths(self) -> None:
        if not hasattr(self, "graph"):
            return
        records = self.graph.instances.audit(self.which)
        for record in transitions(records, self.read):
            self.at = follow(self.paths, self.at, record, agreed(records, record))
            assert self.at, f"seed {self.seed}: {record.tool} {record.payload} is on no explored path"
            TAKEN[0] += 1
        self.read = len(records)
        assert {one.state for one in self.at} >= {self.graph.instances.snapshot(self.which).state}


def test_what_is_proposed_at_the_door_stays_on_the_explored_paths() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        AtTheDoor,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=[*HealthCheck],
        ),
    )

    assert TAKEN[0] >= EXAMPLES, f"{TAKEN[0]} transitions were followed"
