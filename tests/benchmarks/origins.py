"""What tracing arguments to their origins costs: a command's step behind what was read, beside the same step without the policy.

CPU time of the process and statements are counted, not the clock: a step waits for the disk most of its time. Each pair runs in turns. On a
busy machine the difference of two steps says little, so what tracing itself takes of a step is measured as well, in its own thread.
What the sources take is set beside the bytes that were read.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Annotated, Any
from unittest import mock

import sqlalchemy as sa
from pydantic import BaseModel

from interlock import Approval, Principal, SQLCheckpointer, Workflow, WorkflowGraph, command, read
from interlock.checkpointing.tables.sources import sources
from interlock.commands.execution import outcomes, reads
from interlock.commands.origins import capturing
from interlock.graphs import turns
from interlock.rules.definition import Limits
from interlock.rules.origins import TrustedOrigins
from interlock.rules.origins.holding import WIDTH
from interlock.rules.policies import Allow, Policy, ProposalView, Ruling
from interlock.tools.canonical import canonical_json, to_json
from interlock.tools.origins import Content, Id, Label, Own, Reaches

ADA = Principal("ada")
ROUNDS = 24
LINE = "The quick brown fox jumps over the lazy dog and goes on to the next page of the letter. "


class Letter(BaseModel):
    """One letter: a good kilobyte, of which two values are trusted."""

    letter_id: Annotated[int, Id("letter")]
    sender: Annotated[str, Own]
    subject: Annotated[str, Label]
    body: str


@read("letter.list")
def list_letters(first: int, count: int) -> list[Letter]:
    """List letters."""
    return [
        Letter(letter_id=number, sender=f"person{number}@example.org", subject=f"Letter {number}", body=LINE * 11)
        for number in range(first, first + count)
    ]


@command("letter.send", effect="transactional")
def send(to: Annotated[str, Reaches], text: Annotated[str, Content]) -> str:
    """Send a letter."""
    return "sent"


@command("desk.close", effect="transactional")
def close() -> str:
    """Close."""
    return "closed"


class MayAsk(Policy):
    """A policy that may ask, and never does: the graph has an approval node for it, which a call passes through."""

    def judge(self, proposal: ProposalView) -> Ruling:
        """Allow it."""
        del proposal
        return Allow()


POLICIES: dict[str, list[Policy]] = {
    "plain": [],
    "asking": [MayAsk()],
    "traced": [TrustedOrigins(otherwise=Approval(role="clerk"))],
}


def main() -> None:
    """Measure behind nothing, 100 KB and 10 MB, with and without the policy."""
    for label, pages, per_page in (("nothing", 0, 0), ("100 KB", 1, 100), ("10 MB", 10, 1000)):
        with tempfile.TemporaryDirectory() as folder:
            measure(label, f"sqlite:///{pathlib.Path(folder) / 'origins.db'}", pages, per_page)


def measure(label: str, url: str, pages: int, per_page: int) -> None:
    """Both desks read the same pages; then each sends, in turns."""
    with prepared(url, pages, per_page) as desks, tracing_itself() as spent:
        itself: dict[str, list[float]] = {"traced": [], "traced, cold": []}
        cpu: dict[str, list[float]] = {name: [] for name in (*desks, "traced, cold")}
        statements: dict[str, list[int]] = {name: [] for name in cpu}
        for number in range(ROUNDS):
            for name, graph in desks.items():
                for kind in (name, "traced, cold") if name == "traced" and number % 4 == 0 else (name,):
                    if kind == "traced, cold":
                        capturing.forget()
                    spent.clear()
                    cpu[kind].append(step(graph))
                    if kind in itself:
                        itself[kind].append(sum(spent))
        for kind, made in statements.items():
            if kind == "traced, cold":
                capturing.forget()
            made.append(counted(desks[kind.removesuffix(", cold")]))
        plain, asking, traced, cold = (statistics.median(cpu[name]) for name in cpu)
        ratio = statistics.median(one / other for one, other in zip(cpu["traced"], cpu["asking"], strict=True))
        counts = " and ".join(f"{statistics.median(made):.0f} {name}" for name, made in statements.items())
        print(
            f"behind {label}: CPU of a command's step {plain:.2f} ms; {asking:.2f} ms with a policy that may ask and reads nothing; "
            f"traced {traced:.2f} ms ({(ratio - 1) * 100:+.1f}%, {traced - asking:+.2f} ms), where another process read {cold:.2f} ms "
            f"({cold - asking:+.2f} ms)"
        )
        warm, first = (statistics.median(itself[name]) for name in itself)
        print(f"  tracing itself: {warm:.2f} ms ({warm / asking:.1%}), where another process read {first:.2f} ms")
        print(f"  statements: {counts}")
        graph = desks["traced"]
        read_bytes = sum(
            len(canonical_json(to_json(list_letters.function(page * per_page, per_page)))) for page in range(pages)
        )
        with graph.engine.store.read() as connection:
            kept = connection.execute(
                sa.select(sa.func.count(), sa.func.sum(sa.func.length(sources.c.held))).where(
                    sources.c.kind == "output"
                )
            ).one()
        if read_bytes:
            values = pages * per_page * 2
            rest = kept[1] - values * WIDTH
            print(
                f"  read {read_bytes} bytes; sources: {kept[0]} rows, {kept[1]} bytes ({kept[1] / read_bytes:.1%}): {values} trusted values "
                f"{values * WIDTH} bytes ({values * WIDTH / read_bytes:.1%}), all else {rest} bytes ({rest / read_bytes:.1%}; asked: at most a tenth)"
            )


@contextlib.contextmanager
def tracing_itself() -> Iterator[list[float]]:
    """What is spent on keeping sources and on judging by them, in milliseconds of the thread that does it."""
    spent: list[float] = []

    def timed(function: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                spent.append((time.thread_time() - began) * 1000)

        return run

    places = ((turns, "keep_words"), (outcomes, "keep_output"), (reads, "keep_output"), (TrustedOrigins, "judge"))
    with contextlib.ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(mock.patch.object(owner, name, timed(getattr(owner, name))))
        yield spent


def step(graph: WorkflowGraph) -> float:
    """One command at the door: milliseconds of CPU."""
    began = time.process_time()
    graph.invoke({"messages": [("user", "go on")]}, THREAD, context=ADA)
    return (time.process_time() - began) * 1000


def counted(graph: WorkflowGraph) -> int:
    """How many statements a command at the door takes; in a step of its own, since listening to statements takes time as well."""
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1

    engine = graph.engine.store.database.engine
    sa.event.listen(engine, "before_cursor_execute", count)
    step(graph)
    sa.event.remove(engine, "before_cursor_execute", count)
    return made


THREAD: Any = {"configurable": {"thread_id": "t"}}


@contextlib.contextmanager
def prepared(url: str, pages: int, per_page: int) -> Iterator[dict[str, WorkflowGraph]]:
    """The desk with the policy and without, each having read the pages."""
    with contextlib.ExitStack() as stack:
        desks = {}
        for name in ("plain", "asking", "traced"):
            saver = stack.enter_context(SQLCheckpointer(url.replace(".db", f"-{name}.db")))
            saver.setup()
            desks[name] = desk(name, pages, per_page).compile(saver)
            desks[name].invoke({"messages": [("user", "Write to me@example.org")]}, THREAD, context=ADA)
            for _ in range(5):
                step(desks[name])
        yield desks


def desk(name: str, pages: int, per_page: int) -> Workflow:
    """Reads the pages in the first turn, and sends one letter in each later one."""
    turns = itertools.count()
    left = {"calls": 0}
    reads = [("letter.list", {"first": page * per_page, "count": per_page}) for page in range(pages)]

    def decide(view: Any) -> Any:
        del view
        number = next(turns)
        if number < len(reads):
            return reads[number]
        left["calls"] += 1
        return ("letter.send", {"to": "me@example.org", "text": "As agreed."}) if left["calls"] % 2 == 0 else None

    flow = Workflow(
        "desk",
        policies=POLICIES[name],
        limits=Limits(output_characters=10_000_000, calls=10_000),
    )
    flow.add_state("open", decide=decide, tools=[list_letters])
    flow.add_state("closed", final=True)
    flow.add_edge("open", send, "open")
    flow.add_edge("open", close, "closed")
    return flow


if __name__ == "__main__":
    main()
