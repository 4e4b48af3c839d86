"""Several processes, and one that is killed in the middle: charged once; each has a session of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from interlock import RetryPolicy, SQLCheckpointer, WorkflowGraph, WorkflowStore
from interlock.testing import Child
from interlock.tools.errors import InProgress
from tests.mcp.client.support import ADA, SAID, Bank, graph_of, thread
from tests.mcp.client.test_servers_in_trouble import unresolved, until

FORK = multiprocessing.get_context("fork")


def desk(folder: Path, database: Path, *, idempotent: bool, proposes: bool = True) -> WorkflowGraph:
    """The workflow as each of the processes builds it."""
    options = {"idempotent": ["transfer"], "retry": RetryPolicy(attempts=5, initial=0.0)} if idempotent else {}
    contract = Bank(folder).tools(**options).contract("transfer")
    url = f"sqlite:///{database}"
    said = [{"amount": 3}] if proposes else []
    return graph_of(contract, *said, saver=SQLCheckpointer(url), store=WorkflowStore(url, lease_seconds=1))


def run(folder: Path, database: Path, idempotent: bool) -> None:
    """Run it until it is done or killed."""
    desk(folder, database, idempotent=idempotent).invoke(SAID, thread(), context=ADA)


def taken_up(graph: WorkflowGraph) -> dict[str, Any]:
    """Go on where the killed process was, once its lease has run out."""
    found: dict[str, Any] = {}

    def went_on() -> bool:
        try:
            found.update(graph.invoke(None, thread(), context=ADA))
        except InProgress:
            return False
        return True

    until(went_on)
    return found


def killed_in_the_middle(bank: Bank, database: Path, *, idempotent: bool) -> None:
    """Kill a process whose call has had its effect and has no answer yet."""
    bank.behave(on={"transfer": {"hangs": "after"}})
    with Child(run, bank.folder, database, idempotent) as first:
        until(lambda: bank.charged)
        assert first.process.pid is not None
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.join()
    bank.behave()


def test_a_call_of_a_killed_process_is_taken_up_under_its_key_and_charged_once(bank: Bank, tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    killed_in_the_middle(bank, database, idempotent=True)

    state = taken_up(desk(bank.folder, database, idempotent=True, proposes=False))

    assert state["last_result"]["output"] == {"left": 97}
    assert bank.charged == [3]
    assert len(bank.calls) == 2
    assert len({call["_meta"]["io.github.langgraph-interlock/idempotencyKey"] for call in bank.calls}) == 1


def test_a_call_of_a_killed_process_that_must_not_be_repeated_is_for_a_person_to_resolve(
    bank: Bank, tmp_path: Path
) -> None:
    database = tmp_path / "desk.db"
    killed_in_the_middle(bank, database, idempotent=False)

    state = taken_up(desk(bank.folder, database, idempotent=False, proposes=False))

    assert unresolved(state)
    assert bank.charged == [3]
    assert len(bank.calls) == 1


def test_all_threads_of_a_process_share_one_session(bank: Bank) -> None:
    contract = bank.tools().contract("transfer")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: contract.call({"amount": 1}), range(16)))

    assert sorted(answer["left"] for answer in answers) == [*range(84, 100)]
    assert len(bank.read("starts")) == 1


def call_once(folder: Path) -> None:
    """Call in a process of its own."""
    Bank(folder).tools().contract("transfer").call({"amount": 1})


def test_a_fork_has_a_session_of_its_own(bank: Bank) -> None:
    tools = bank.tools()
    tools.contract("transfer").call({"amount": 1})

    child = FORK.Process(target=lambda: tools.contract("transfer").call({"amount": 1}))
    child.start()
    child.join()

    assert child.exitcode == 0
    assert tools.contract("transfer").call({"amount": 1}) == {"left": 97}
    assert len({start["parent"] for start in bank.read("starts")}) == 2


def test_a_server_ends_with_the_process_that_started_it(bank: Bank) -> None:
    with Child(call_once, bank.folder) as child:
        child.result()
        child.process.join()

    (start,) = bank.read("starts")
    until(lambda: not is_there(start["pid"]))


def is_there(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
