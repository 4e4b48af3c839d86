"""Generated workflows: the search and a list of all short paths agree on every claim."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock import Approval, Confirmation, Escalate, LimitPerRun, RequireRole
from interlock.rules.claims import (
    Claim,
    always_possible,
    any_write,
    approval,
    at_most,
    before,
    calls,
    check,
    confirmation,
    earlier_versions_agree,
    every,
    final,
    never,
    never_after,
    never_forked,
    only,
    possible_after,
    state,
)
from interlock.rules.claims.words import in_words
from interlock.rules.definition import Definition

from .support import decide_naively, definition_of, is_counterexample, look, write

TOOLS = [write("a.one"), write("a.two"), write("a.three", effect="idempotent"), look("a.look")]
STATES = ["s0", "s1", "s2", "s3"]
APPROVALS = [
    None,
    None,
    Approval(role="boss"),
    Approval(role="boss", within="1h", on_expiry=Escalate("chief")),
    Approval(when=lambda: True),
    Confirmation(then=Approval(role="chief")),
]


def sometimes(view: object) -> bool:
    return True


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Workflows of a few states, in which every state can be left or ends, as compiling asks."""
    size = draw(st.integers(2, 4))
    states = STATES[:size]
    edges: list[tuple[object, ...]] = []
    taken: dict[tuple[str, str], int] = {}
    wanted = [*itertools.pairwise(states)]  # every state is reached, and the last one ends it
    wanted += draw(st.lists(st.tuples(st.sampled_from(states[:-1]), st.sampled_from(states)), max_size=4))
    for source, target in wanted:
        tool = draw(st.sampled_from(TOOLS))
        if any((source, tool, target) == tuple(edge[:3]) for edge in edges):
            continue
        options: dict[str, object] = {"order": taken.get((source, tool.name), 0)}
        taken[source, tool.name] = taken.get((source, tool.name), 0) + 1
        if draw(st.booleans()):
            options["guard"] = sometimes
        rule = draw(st.sampled_from(APPROVALS))
        if rule is not None:
            options["approval"] = rule
        edges.append((source, tool, target, options))
    used = sorted({edge[1].name for edge in edges})  # type: ignore[attr-defined]
    policies: list[object] = []
    if draw(st.booleans()):
        policies.append(LimitPerRun(draw(st.integers(0, 2)), [draw(st.sampled_from(used))]))
    if draw(st.booleans()):
        policies.append(RequireRole("agent", [draw(st.sampled_from(used))]))
    version = draw(st.sampled_from([1, 1, 2]))
    return definition_of(
        {name: {"final": True} if name == states[-1] else {} for name in states},
        edges,
        policies=policies,
        version=version,
    )


def claims_about(definition: Definition) -> list[Claim]:
    """One claim of each kind about the tools and states that are there."""
    one, *more = sorted(definition.contracts)
    other = more[-1] if more else one
    claims: list[Claim] = [
        never(one).without(approval(role="boss")),
        never(one).without(approval(role="boss") | confirmation() | approval(role="chief")),
        every(any_write).needs(approval(role="boss")),
        before(one, other),
        before(state(STATES[1]), calls(one, other)),
        at_most(one, 1),
        at_most(any_write, 2),
        never_after(one, other),
        only(role="agent").reaches(one),
        always_possible(final),
        always_possible(one),
        possible_after(one, other),
    ]
    return [*claims, *(claim.assuming(never_forked, earlier_versions_agree) for claim in claims)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(definition=definitions())
def test_what_the_search_proves_no_short_path_breaks_and_what_it_breaks_is_a_path_that_does(
    definition: Definition,
) -> None:
    for proof in check(definition, claims_about(definition)):
        if proof.counterexample is None:
            assert decide_naively(proof.claim, definition, longest=4), in_words(proof)
        else:
            assert is_counterexample(proof.claim, definition, proof.counterexample), in_words(proof)
