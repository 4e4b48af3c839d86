"""The page on budgets: its code runs."""

from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/budgets.md"


def test_its_code_runs_from_the_top() -> None:
    names: dict[str, object] = {"__name__": "budgets_page"}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert blocks
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
