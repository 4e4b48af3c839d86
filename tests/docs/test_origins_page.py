"""The page on origins: every block runs, and every marker is on it."""

import pytest

from interlock.rules.origins import Origin
from interlock.tools.origins import KEYWORD, MarkKind
from tests.docs.blocks import ROOT, printed_by

PAGE = "docs/origins.md"
TEXT = (ROOT / PAGE).read_text("utf-8")


def test_every_block_runs() -> None:
    fields, asked, sources = [text for text in printed_by(PAGE).values() if text]

    assert fields == "[('account', 'reaches'), ('amount', 'None'), ('message', 'content')]\n"
    assert asked == "DE99 ['TrustedOrigins: the value of the argument account comes from no trusted source']\n"
    assert sources == "account nowhere False None\namount user True words\nmessage app True None\n"


@pytest.mark.parametrize("kind", [*MarkKind])
def test_every_marker_is_explained(kind: MarkKind) -> None:
    assert f"| `{kind.value.capitalize()}" in TEXT
    assert KEYWORD in TEXT


@pytest.mark.parametrize("origin", [*Origin])
def test_every_origin_is_explained(origin: Origin) -> None:
    assert f"| `{origin.value}` |" in TEXT


def test_the_limits_are_stated_first() -> None:
    assert TEXT.index("## Limits") < TEXT.index("## Markers")
