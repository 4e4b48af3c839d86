"""The page on approvals: its code runs, and what it says of statuses and shapes is so."""

from interlock import Approval
from interlock.checkpointing.store import FOLLOWS, ApprovalStatus
from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/approvals.md"


def test_its_code_runs_from_the_top() -> None:
    names: dict[str, object] = {"__name__": "approvals_page"}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert len(blocks) == 3
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102


def test_it_names_every_status_and_every_part_of_a_rule() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert all(status.value in text for status in ApprovalStatus)
    parts = {name for name in Approval.__dataclass_fields__ if name not in {"confirmation", "from_case"}}
    assert all(f"`{name}=`" in text for name in parts)


def test_what_it_says_ends_a_life_ends_it() -> None:
    ends = [line for line in (ROOT / PAGE).read_text("utf-8").splitlines() if line.endswith("| nothing |")]
    named = {status for line in ends for status in line.split("|")[1].replace(" ", "").split(",")}
    assert named == {status.value for status, follows in FOLLOWS.items() if not follows}
