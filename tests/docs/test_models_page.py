"""The page on models: every block runs, from the top, and prints what stands below it."""

import pytest

from tests.docs.blocks import Block, blocks_of, printed_by

pytest.importorskip("langchain", reason="the extra 'langchain' is not installed")

PAGE = "docs/models.md"


@pytest.fixture(scope="module")
def printed() -> dict[int, str]:
    return printed_by(PAGE)


@pytest.mark.parametrize(
    "said", [block for block in blocks_of(PAGE) if block.language == "text"], ids=lambda block: f"line {block.line}"
)
def test_a_block_prints_what_stands_below_it(printed: dict[int, str], said: Block) -> None:
    above = max(line for line in printed if line < said.line)
    assert printed[above] == said.code
