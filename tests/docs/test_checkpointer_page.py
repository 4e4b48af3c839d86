"""What the page on the checkpointer shows is what its code prints."""

from __future__ import annotations

from tests.docs.blocks import blocks_of, printed_by

PAGE = "docs/checkpointer.md"


def test_the_code_prints_what_stands_below_it() -> None:
    printed = printed_by(PAGE)
    shown = [block.code for block in blocks_of(PAGE) if block.language == "text"]

    assert [text for text in printed.values() if text] == shown
