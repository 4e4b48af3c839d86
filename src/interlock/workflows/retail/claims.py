"""The desk's policy as claims, which are proved for every path when the desk is compiled; and the rules that no claim can express.

The source is tau2-bench's retail policy (see `rules`). Each claim below expresses one of its sentences. The remaining rules concern
the system of record, the model's words, or single orders, which a proof over states does not model:

| rule of the policy | enforced by |
|---|---|
| only the customer's own orders and profile | checks, which read the shop's rows (`rules`) |
| the right status of an order; items modified or exchanged once per order; the same product type; enough on a gift card | checks, by the rules that the operations run |
| refund to the original payment method or a gift card; only two reasons for a cancellation | the input models and checks of the tools |
| list the details of a change before it is confirmed | the preview, to which the confirmation is bound |
| nothing made up, no opinions, no text next to a call | the prompt only; no tool depends on it |
| hand over only requests that are out of scope | the model's judgement; the claim is that a hand-over is always possible |
"""

from ...rules.claims import (
    Claim,
    always_possible,
    any_read,
    any_write,
    at_most,
    before,
    calls,
    confirmation,
    every,
    final,
    never,
    never_after,
    state,
)
from . import tools

IDENTIFYING = calls(*tools.IDENTIFYING)

CLAIMS: tuple[Claim, ...] = (
    before(any_write & ~calls(tools.hand_over), IDENTIFYING).named(
        "the customer is identified before anything is changed"
    ),
    before(any_read & ~IDENTIFYING, IDENTIFYING).named("the customer is identified before anything is looked up"),
    at_most(IDENTIFYING, 1).named("one customer per conversation"),
    every(calls(*tools.CHANGING)).needs(confirmation()).named("nothing is changed before the customer confirmed it"),
    every(any_write & ~calls(tools.hand_over))
    .needs(confirmation())
    .named("every write but the hand-over is one of those changes"),
    never(state("handed_over") & ~calls(tools.hand_over)).named("only a hand-over hands over"),
    never_after(state("handed_over"), any_write | any_read).named("handing over ends the desk's work"),
    always_possible(final).named("a customer can always be handed over"),
)

__all__ = ["CLAIMS"]
