"""The page on proposing from outside the graph: its code runs, and prints what the page says."""

import itertools

from tests.docs.blocks import blocks_of, printed_by

PAGE = "docs/proposing.md"


def test_its_code_runs_and_prints_what_the_page_says() -> None:
    blocks = blocks_of(PAGE)
    printed = printed_by(PAGE)
    said = {
        before.line: after.code
        for before, after in itertools.pairwise(blocks)
        if before.language == "python" and after.language == "text"
    }
    assert len(printed) == 7
    assert {line: text for line, text in printed.items() if text} == said
