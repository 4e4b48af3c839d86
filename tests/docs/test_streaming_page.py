"""The page on streaming: every block runs, from the top, and prints what stands below it."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any, get_args

import pytest

from interlock import StreamEvent
from tests.docs.blocks import ROOT, Block, blocks_of

PAGE = "docs/streaming.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture(scope="module")
def printed() -> dict[int, str]:
    """What each block of Python printed, by its line."""
    names: dict[str, Any] = {"__name__": "streaming_page"}
    found: dict[int, str] = {}
    for block in BLOCKS:
        if block.language == "python":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
            found[block.line] = out.getvalue()
    return found


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
