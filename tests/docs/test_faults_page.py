"""The page on what breaks: every block of it runs, from the top, and what it says of fault points and bounds is so."""

from __future__ import annotations

import signal
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from interlock import SQLCheckpointer, ToolContext, Workflow, command
from interlock.checkpointing.connecting import engines, patience
from interlock.operations.resuming import ABANDONED_AFTER
from interlock.testing import Child, EventPoint, FaultPoint, reach
from tests.docs.blocks import ROOT, Block, blocks_of

PAGE = "docs/faults.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block of Python printed, by its line."""
    url = f"sqlite:///{tmp_path_factory.mktemp('page') / 'postage.db'}"
    names: dict[str, Any] = {"__name__": "faults_page"}
    found: dict[int, str] = {}
    for block in BLOCKS:
        if block.language == "python":
            out = StringIO()
            code = block.code.replace("sqlite:///postage.db", url)
            with redirect_stdout(out):
                exec(compile("\n" * (block.line - 1) + code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
            found[block.line] = out.getvalue()
    return found


@pytest.mark.parametrize(
    "said", [block for block in BLOCKS if block.language == "text"], ids=lambda block: f"line {block.line}"
)
def test_a_block_prints_what_stands_below_it(printed: dict[int, str], said: Block) -> None:
    above = max(line for line in printed if line < said.line)
    assert printed[above] == said.code


def test_it_names_every_fault_point_and_every_thing_that_can_be_put_there() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert all(f"`{point}`" in text for point in [*FaultPoint, *EventPoint])
    assert all(f"`{verb}(" in text for verb in ("kill", "stop", "drop", "delay", "Fault"))


def test_the_bounds_that_it_names_are_those_that_hold() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert f"{engines.BUSY_TIMEOUT_SECONDS:.0f} s, its busy timeout" in text
    assert f"{patience.LOCK_SECONDS} s, `lock_timeout`" in text
    assert f"{patience.IDLE_SECONDS} s, `idle_in_transaction_session_timeout`" in text
    assert f"{patience.IDLE_SECONDS} s, `idle_transaction_timeout`" in text
    assert (ABANDONED_AFTER, "after five minutes" in text) == (300.0, True)


class Carrier:
    """Who sells postage, once for each key, and writes it down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def sell(self, key: str) -> str:
        known = self.path.read_text().split() if self.path.exists() else []
        if key not in known:
            self.path.write_text(" ".join([*known, key]))
        return f"P{len(known)}"

    @property
    def sold(self) -> int:
        return len(self.path.read_text().split())


def post(url: str, thread: str, path: Path) -> str:
    """What the page's function of this name does, with a carrier that outlives the process."""

    @command("postage.buy", effect="idempotent")
    def buy_postage(ctx: ToolContext) -> str:
        """Buy postage for the parcel."""
        number = Carrier(path).sell(ctx.idempotency_key)
        reach("postage.bought")
        return number

    workflow = Workflow("postage")
    workflow.add_state("packed", decide=lambda _: ("postage.buy", {}))
    workflow.add_state("stamped", final=True)
    workflow.add_edge("packed", buy_postage, "stamped")
    graph = workflow.compile(SQLCheckpointer(url))
    config: Any = {"configurable": {"thread_id": thread}}
    begun = graph.get_state(config).values
    return str(graph.invoke(None if begun else {"messages": [("user", "Post it, please.")]}, config)["state"])


def test_a_killed_process_buys_postage_once(tmp_path: Path) -> None:
    (example,) = [block for block in BLOCKS if block.language == "py"]
    assert 'kill_at=("postage.bought", 1)' in example.code
    url, carrier = f"sqlite:///{tmp_path / 'postage.db'}", Carrier(tmp_path / "sold")
    with Child(post, url, "t-3", carrier.path, kill_at=("postage.bought", 1)) as child:
        assert child.ended() == -signal.SIGKILL
    with Child(post, url, "t-3", carrier.path) as child:
        assert child.result() == "stamped"
    assert carrier.sold == 1
