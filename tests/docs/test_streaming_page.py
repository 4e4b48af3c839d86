"""The page on streaming: every block runs, from the top, and prints what stands below it."""

from typing import get_args

import pytest

from interlock import StreamEvent
from tests.docs.blocks import ROOT, Block, blocks_of, printed_by

PAGE = "docs/streaming.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture(scope="module")
def printed() -> dict[int, str]:
    return printed_by(PAGE)


@pytest.mark.parametrize(
    "said", [block for block in BLOCKS if block.language == "text"], ids=lambda block: f"line {block.line}"
)
def test_a_block_prints_what_stands_below_it(printed: dict[int, str], said: Block) -> None:
    above = max(line for line in printed if line < said.line)
    assert printed[above] == said.code


def test_it_has_an_example_of_every_mode_and_names_every_event() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert all(f"## `{mode}`" in text for mode in ("custom", "updates", "values", "messages"))
    for model in get_args(get_args(StreamEvent)[0]):
        assert f"`{model.__name__}`" in text
        assert f"| `{model.model_fields['type'].default}` |" in text
