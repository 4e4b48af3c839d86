"""The page on who acts, whose an instance is, and who may run it: its code runs."""

from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/access.md"


def test_its_code_runs_from_the_top() -> None:
    names: dict[str, object] = {"__name__": "access_page"}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert len(blocks) == 9
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
