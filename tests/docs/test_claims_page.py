"""The page on claims: every block runs from the top, and it names every claim, assumption and kind of finding's command."""

from __future__ import annotations

import pytest

from interlock.rules import claims
from interlock.rules.claims import Assumption, Claim
from tests.docs.blocks import ROOT, printed_by

PAGE = "docs/claims.md"


def test_every_block_runs() -> None:
    printed_by(PAGE)


@pytest.mark.parametrize(
    "name", ["never", "every", "before", "at_most", "never_after", "only", "always_possible", "possible_after"]
)
def test_it_has_a_line_for_every_claim(name: str) -> None:
    assert callable(getattr(claims, name))
    assert f"| `{name}(" in (ROOT / PAGE).read_text("utf-8")


def test_it_has_a_line_for_every_assumption() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    named = {name for name in claims.__all__ if isinstance(getattr(claims, name), Assumption)}
    named |= {"guard_holds", "asked", "starts_with"}

    assert sorted(name for name in named if f"| `{name}" not in text) == []


def test_claims_print_as_sentences() -> None:
    assert issubclass(type(claims.never("a.b")), Claim)
    assert str(claims.never("a.b").without(claims.confirmation())) == (
        "a.b never happens without a confirmation by the person served"
    )
