"""Claims: what each sentence means, and the shortest path that breaks it."""

from __future__ import annotations

import pytest

from interlock import Approval, Confirmation, Escalate, LimitPerRun, RequireRole
from interlock.rules import assumptions
from interlock.rules.claims import (
    Claim,
    always_possible,
    any_write,
    approval,
    asked,
    at_most,
    before,
    calls,
    check,
    confirmation,
    destructive,
    earlier_versions_agree,
    every,
    final,
    guard_holds,
    never,
    never_after,
    never_forked,
    only,
    possible_after,
    state,
)
from interlock.rules.claims.words import in_words
from interlock.rules.definition import Definition
from interlock.tools.errors import ClaimError

from .support import definition_of, look, write

refund = write("order.refund", destructive=True)
cancel = write("order.cancel")
modify = write("order.modify")
identify = look("customer.identify")
outside = write("bank.pay", effect="idempotent")


def proved(definition: Definition, claim: Claim) -> bool:
    (proof,) = check(definition, [claim])
    return proof.holds


def path(definition: Definition, claim: Claim) -> list[str | None]:
    (proof,) = check(definition, [claim])
    assert proof.counterexample is not None, in_words(proof)
    return [step.tool or step.kind.value for step in proof.counterexample.steps]


def desk(**refunding: object) -> Definition:
    return definition_of(
        {"new": {}, "known": {}, "closed": {"final": True}},
        [("new", identify, "known"), ("known", refund, "known", refunding), ("known", cancel, "closed")],
    )


def test_a_call_that_always_asks_a_role_never_runs_without_it() -> None:
    definition = desk(approval=Approval(role="supervisor"))

    assert proved(definition, never(refund).without(approval(role="supervisor")))
    assert proved(definition, never(refund).without(approval()))
    assert not proved(definition, never(refund).without(approval(role="manager")))
    assert not proved(definition, never(refund).without(confirmation()))


def test_an_approval_with_a_condition_may_ask_nobody() -> None:
    def large(amount: int = 0) -> bool:
        return amount > 10

    definition = desk(approval=Approval(role="supervisor", when=lambda: True))
    claim = never(refund).without(approval(role="supervisor"))

    assert path(definition, claim) == ["customer.identify", "order.refund"]
    when = next(edge.approval.when for edge in definition.edges if edge.approval is not None)
    assert when is not None
    assert proved(definition, claim.assuming(asked(when)))
    assert not proved(definition, claim.assuming(asked(large)))


def test_an_escalated_approval_may_be_given_by_the_role_that_it_is_escalated_to() -> None:
    definition = desk(approval=Approval(role="supervisor", within="1h", on_expiry=Escalate("manager")))

    assert not proved(definition, never(refund).without(approval(role="supervisor")))
    assert proved(definition, never(refund).without(approval(role="supervisor") | approval(role="manager")))


def test_a_chain_of_approvals_gives_all_of_its_stages() -> None:
    definition = desk(approval=Confirmation(then=Approval(role="supervisor", count=2)))

    assert proved(definition, every(refund).needs(confirmation() & approval(role="supervisor", count=2)))
    assert not proved(definition, every(refund).needs(approval(role="supervisor", count=3)))


def test_what_is_identified_first_stands_before_every_write() -> None:
    assert proved(desk(), before(any_write, identify))

    shortcut = definition_of(
        {"new": {}, "known": {}, "closed": {"final": True}},
        [("new", identify, "known"), ("known", refund, "closed"), ("new", cancel, "closed")],
    )
    assert path(shortcut, before(any_write, identify)) == ["order.cancel"]


def test_a_step_is_no_precedent_of_itself() -> None:
    assert path(desk(), before(refund, refund)) == ["customer.identify", "order.refund"]


def test_a_loop_breaks_a_bound_on_how_often() -> None:
    assert path(desk(), at_most(refund, 2)) == ["customer.identify", *["order.refund"] * 3]
    assert proved(desk(), at_most(cancel, 1))


def test_a_limit_per_run_bounds_a_loop_unless_the_instance_is_forked() -> None:
    definition = definition_of(
        {"open": {}, "closed": {"final": True}},
        [("open", refund, "open"), ("open", cancel, "closed")],
        policies=[LimitPerRun(1, [refund])],
    )

    assert path(definition, at_most(refund, 1)) == ["order.refund", "fork", "order.refund"]
    assert proved(definition, at_most(refund, 1).assuming(never_forked))


def test_nothing_that_is_forbidden_after_something_comes_after_it() -> None:
    assert proved(desk(), never_after(cancel, refund))
    assert path(desk(), never_after(refund, cancel)) == ["customer.identify", "order.refund", "order.cancel"]


def test_a_role_that_a_policy_requires_is_the_only_one_that_reaches_a_tool() -> None:
    definition = definition_of(
        {"open": {}, "closed": {"final": True}},
        [("open", refund, "open"), ("open", cancel, "closed")],
        policies=[RequireRole("agent", [refund])],
    )

    assert proved(definition, only(role="agent").reaches(refund))
    assert not proved(definition, only(role="agent").reaches(cancel))


def test_an_end_is_always_possible_where_every_state_has_a_way_out() -> None:
    assert proved(desk(), always_possible(final))
    assert proved(desk(), possible_after(identify, cancel))

    trap = definition_of(
        {"open": {}, "trap": {}, "closed": {"final": True}},
        [("open", cancel, "closed"), ("open", modify, "trap"), ("trap", refund, "trap")],
    )
    (proof,) = check(trap, [always_possible(final)])
    assert proof.counterexample is not None
    assert [step.tool for step in proof.counterexample.steps] == ["order.modify"]
    assert proof.counterexample.stuck
    assert "nothing leads to it any more" in in_words(proof)


def test_a_guard_of_the_application_may_say_no_and_let_the_next_edge_of_the_tool_be_taken() -> None:
    def small(view: object) -> bool:
        return True

    definition = definition_of(
        {"open": {}, "closed": {"final": True}},
        [
            ("open", refund, "closed", {"guard": small, "order": 0, "approval": Approval(role="supervisor")}),
            ("open", refund, "open", {"order": 1}),
        ],
    )
    claim = never(refund).without(approval(role="supervisor"))

    assert path(definition, claim) == ["order.refund"]
    assert proved(definition, claim.assuming(guard_holds(small)))


def test_an_attempt_that_is_resolved_may_settle_on_another_edge_of_its_tool() -> None:
    def small(view: object) -> bool:
        return True

    definition = definition_of(
        {"open": {}, "paid": {}, "held": {}, "closed": {"final": True}},
        [
            ("open", outside, "paid", {"guard": small, "order": 0}),
            ("open", outside, "held", {"order": 1}),
            ("paid", cancel, "closed"),
            ("held", cancel, "closed"),
        ],
    )
    (proof,) = check(definition, [never(state("held") & calls(outside)).assuming(guard_holds(small))])

    assert proof.counterexample is not None
    assert "was interrupted, and a person says that it happened" in in_words(proof)


def test_an_instance_of_an_earlier_version_has_a_past_that_is_not_known() -> None:
    definition = definition_of(
        {"new": {}, "known": {}, "closed": {"final": True}},
        [("new", identify, "known"), ("known", refund, "known"), ("known", cancel, "closed")],
        version=2,
        state_mapping={"old": "known"},
    )
    claim = before(any_write, identify)

    (proof,) = check(definition, [claim])
    assert proof.counterexample is not None
    assert proof.counterexample.inherited_from == "known"
    assert "with a past that is not known" in in_words(proof)
    assert proved(definition, claim.assuming(earlier_versions_agree))


def test_destructive_tools_are_found_by_their_annotation() -> None:
    assert proved(desk(approval=Approval()), every(destructive).needs(approval() | confirmation()))
    assert not proved(desk(), every(destructive).needs(approval() | confirmation()))


@pytest.mark.parametrize(
    "claim", [never("order.refnud"), never(state("closd")), before(any_write, "customer.identfy")], ids=str
)
def test_a_claim_about_what_is_not_there_is_refused(claim: Claim) -> None:
    with pytest.raises(ClaimError, match="does not have"):
        check(desk(), [claim])


def test_an_incomplete_claim_is_refused() -> None:
    with pytest.raises(ClaimError, match="reaches"):
        check(desk(), [only(role="agent")])
    with pytest.raises(ClaimError, match="assumes nothing; give the fields"):
        assumptions.starts_with()
    with pytest.raises(ClaimError, match="is not a claim"):
        check(desk(), ["never refund"])  # type: ignore[list-item]


def test_a_search_that_reaches_its_bound_is_undecided_and_not_proved() -> None:
    (proof,) = check(desk(), [at_most(refund, 50)], bound=10)

    assert not proof.holds
    assert "raise the bound" in in_words(proof)


def test_a_proof_is_printed_with_what_it_relies_on() -> None:
    (proof,) = check(desk(), [before(any_write, identify).assuming(never_forked).named("identified first")])

    assert in_words(proof).splitlines() == [
        "proved: identified first",
        "  that is: before any command or event there is always customer.identify",
        "  assuming that no instance is forked",
    ]
