"""The checkpointer beside LangGraph's savers: same database, same durability, same `synchronous`, interleaved turn by turn.

    python -m tests.benchmarks checkpointer          everything
    INTERLOCK_BENCH=turns,bytes,many,load            only these parts
    INTERLOCK_BENCH_TURNS=400                        fewer turns of the growing conversation
    INTERLOCK_BENCH_ON=FULL                          of the growing conversations only those whose setting has this in its name

A turn is one `invoke` of a graph with one node that answers: three `put`, two `put_writes`, one `get_tuple`. Text is random, so that it
does not compress. A ratio below 1 means that Interlock took less.
"""

import asyncio
import contextlib
import gc
import os
import pathlib
import random
import sqlite3
import statistics
import string
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from interlock.checkpointing import SQLCheckpointer
from tests.support.servers import POSTGRES

from ._slow_disk import temporary_postgres_database

PARTS = ("turns", "bytes", "many", "load")
TURNS = int(os.environ.get("INTERLOCK_BENCH_TURNS", "1000"))
MARKS = (10, 100, 400, 1000)
WINDOW = 10
CONVERSATIONS = {10: 20, 100: 4}
"""How many conversations are led up to a mark; one is led up to the others. Early turns are short, and ten of them tell little."""
QUESTION, ANSWER = 512, 512


def main() -> None:
    """Run what was asked for."""
    wanted = os.environ.get("INTERLOCK_BENCH", ",".join(PARTS)).split(",")
    for part in PARTS:
        if part in wanted:
            globals()[f"bench_{part}"]()


def text(length: int) -> str:
    """Random text: it does not compress."""
    return "".join(random.choices(string.ascii_letters + string.digits + " ", k=length))


def graph_with(saver: Any) -> Any:
    """The graph that every benchmark runs."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda _: {"messages": [AIMessage(text(ANSWER))]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def turn(graph: Any, thread: str) -> None:
    """One question and its answer."""
    graph.invoke(
        {"messages": [HumanMessage(text(QUESTION))]}, {"configurable": {"thread_id": thread}}, durability="sync"
    )


# Savers


@contextlib.contextmanager
def sqlite_savers(synchronous: str) -> Iterator[dict[str, Any]]:
    """Interlock and LangGraph on a SQLite file each."""
    with tempfile.TemporaryDirectory() as folder:
        peer_file = pathlib.Path(folder, "langgraph.db")
        connection = sqlite3.connect(peer_file, check_same_thread=False)
        peer = SqliteSaver(connection)
        peer.setup()
        connection.execute(f"PRAGMA synchronous={synchronous}")
        own_file = pathlib.Path(folder, "interlock.db")
        with SQLCheckpointer(f"sqlite:///{own_file}", synchronous=synchronous) as own:
            yield {"interlock": own, "langgraph": peer}
        connection.close()


@contextlib.contextmanager
def postgres_savers() -> Iterator[dict[str, Any]]:
    """Interlock and LangGraph in a PostgreSQL database each."""
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    with (
        temporary_postgres_database() as own_url,
        temporary_postgres_database() as peer_url,
        ConnectionPool(peer_url.replace("+psycopg", ""), max_size=20, kwargs=options, open=True) as pool,
        SQLCheckpointer(own_url) as own,
    ):
        own.setup()
        peer = PostgresSaver(pool)  # type: ignore[arg-type]
        peer.setup()
        yield {"interlock": own, "langgraph": peer}


@contextlib.contextmanager
def memory_savers() -> Iterator[dict[str, Any]]:
    """Interlock on SQLite NORMAL, and LangGraph's saver that keeps everything in memory."""
    with sqlite_savers("NORMAL") as savers:
        yield {"interlock": savers["interlock"], "langgraph": InMemorySaver()}


def has_postgres() -> bool:
    """Whether there is a server to measure on."""
    try:
        POSTGRES.probe(POSTGRES.url)
    except Exception as error:
        print(f"  (no PostgreSQL: {error})")
        return False
    return True


# (a)


def bench_turns() -> None:
    """(a) Time per turn of a growing conversation."""
    print(
        "(a) time per turn of a growing conversation, median of 10 turns before each mark (of several conversations early on)"
    )
    settings: list[tuple[str, Callable[[], Any]]] = [
        ("SQLite NORMAL", lambda: sqlite_savers("NORMAL")),
        ("SQLite FULL", lambda: sqlite_savers("FULL")),
        ("beside in-memory", memory_savers),
    ]
    if has_postgres():
        settings.insert(2, ("PostgreSQL", postgres_savers))
    for name, savers in settings:
        if os.environ.get("INTERLOCK_BENCH_ON", "") not in name:
            continue
        with savers() as both:
            times = growing(both)
        shown = []
        for mark in MARKS:
            if mark <= TURNS:
                own, peer = (statistics.median(times[who][mark]) for who in ("interlock", "langgraph"))
                shown.append(f"turn {mark}: {own * 1e3:.2f} / {peer * 1e3:.2f} ms = {own / peer:.2f}")
        print(f"  {name:17}" + "   ".join(shown), flush=True)


def growing(savers: dict[str, Any]) -> dict[str, dict[int, list[float]]]:
    """Times of the turns before each mark; whoever goes first changes with every turn."""
    graphs = {who: graph_with(saver) for who, saver in savers.items()}
    times: dict[str, dict[int, list[float]]] = {who: {mark: [] for mark in MARKS} for who in savers}
    for graph in graphs.values():
        turn(graph, "warm-up")
    lengths = [mark for mark, count in CONVERSATIONS.items() if mark < TURNS for _ in range(count - 1)]
    for conversation, length in enumerate([*lengths, TURNS]):
        for number in range(length):
            for who in list(graphs) if number % 2 else list(reversed(graphs)):
                started = time.perf_counter()
                turn(graphs[who], f"conversation {conversation}")
                taken = time.perf_counter() - started
                for mark in MARKS:
                    if mark - WINDOW <= number < mark:
                        times[who][mark].append(taken)
    return times


# (b)


def bench_bytes() -> None:
    """(b) Bytes in the database file after 400 turns of 1 KB, and what a turn adds early and late."""
    print("(b) bytes on SQLite, by page count")
    with sqlite_savers("NORMAL") as savers:
        own = savers["interlock"]
        graphs = {who: graph_with(saver) for who, saver in savers.items()}
        sizes: list[int] = []
        peer = 0
        for number in range(max(400, min(TURNS, 1010))):
            turn(graphs["interlock"], "t")
            sizes.append(_pages(own))
            if number < 400:
                turn(graphs["langgraph"], "t")
            if number == 399:
                connection = savers["langgraph"].conn
                (pages,), (size,) = (connection.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
                peer = pages * size
        print(f"  400 turns: {sizes[399] / 1e6:.2f} MB / {peer / 1e6:.0f} MB")
        if len(sizes) > 1000:
            early, late = (sizes[100] - sizes[1]) / 99, (sizes[1000] - sizes[900]) / 100
            print(f"  per turn: {early:.0f} bytes around turn 50, {late:.0f} around turn 950: ratio {late / early:.2f}")


def _pages(saver: SQLCheckpointer) -> int:
    with saver.database.read() as connection:
        pages, size = (connection.exec_driver_sql(f"PRAGMA page_{what}").scalar_one() for what in ("count", "size"))
    return int(pages) * int(size)


# (c)


def bench_many() -> None:
    """(c) Turns per second of many workflows at once."""
    print(
        "(c) turns per second on 200 workflows: higher is better, so here a ratio above 1 means that Interlock did more"
    )
    with sqlite_savers("FULL") as savers:
        _compare("SQLite FULL, 32 threads", savers, _threads)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_sqlite_coroutines(folder))
    if has_postgres():
        with postgres_savers() as savers:
            _compare("PostgreSQL, 32 threads", savers, _threads)
        asyncio.run(_postgres_coroutines())


ROUNDS, WORKFLOWS = 3, 200


def _compare(name: str, savers: dict[str, Any], run: Callable[[Any], float]) -> None:
    best = dict.fromkeys(savers, 0.0)
    for number in range(ROUNDS):
        for who in list(savers) if number % 2 else list(reversed(savers)):
            best[who] = max(best[who], run(graph_with(savers[who])))
    _show(name, best)


def _show(name: str, best: dict[str, float]) -> None:
    own, peer = best["interlock"], best["langgraph"]
    print(f"  {name:32}{own:.0f} / {peer:.0f} turns per second = {own / peer:.2f}", flush=True)


def _threads(graph: Any) -> float:
    """Each of 200 workflows takes two turns, 32 at a time."""
    work = [str(number) for number in range(WORKFLOWS)] * 2
    guard = threading.Lock()

    def worker() -> None:
        while True:
            with guard:
                if not work:
                    return
                thread = work.pop()
            turn(graph, thread)

    workers = [threading.Thread(target=worker) for _ in range(32)]
    total = len(work)
    started = time.perf_counter()
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    return total / (time.perf_counter() - started)


async def _coroutines(graph: Any) -> float:
    async def one(thread: str) -> None:
        for _ in range(2):
            await graph.ainvoke(
                {"messages": [HumanMessage(text(QUESTION))]},
                {"configurable": {"thread_id": thread}},
                durability="sync",
            )

    started = time.perf_counter()
    await asyncio.gather(*(one(str(number)) for number in range(WORKFLOWS)))
    return 2 * WORKFLOWS / (time.perf_counter() - started)


async def _acompare(name: str, savers: dict[str, Any]) -> None:
    best = dict.fromkeys(savers, 0.0)
    for number in range(ROUNDS):
        for who in list(savers) if number % 2 else list(reversed(savers)):
            best[who] = max(best[who], await _coroutines(graph_with(savers[who])))
    _show(name, best)


async def _sqlite_coroutines(folder: str) -> None:
    async with (
        SQLCheckpointer(f"sqlite:///{pathlib.Path(folder, 'interlock.db')}") as own,
        AsyncSqliteSaver.from_conn_string(str(pathlib.Path(folder, "langgraph.db"))) as peer,
    ):
        await peer.setup()
        await peer.conn.execute("PRAGMA synchronous=FULL")
        await _acompare("SQLite FULL, 200 coroutines", {"interlock": own, "langgraph": peer})


async def _postgres_coroutines() -> None:
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    with temporary_postgres_database() as own_url, temporary_postgres_database() as peer_url:
        async with (
            AsyncConnectionPool(peer_url.replace("+psycopg", ""), max_size=20, kwargs=options, open=False) as pool,
            SQLCheckpointer(own_url) as own,
        ):
            await own.asetup()
            peer = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
            await peer.setup()
            await _acompare("PostgreSQL, 200 coroutines", {"interlock": own, "langgraph": peer})


# (d)


def bench_load() -> None:
    """(d) Loading a thread of 2,000 messages: again in the same process, and for the first time."""
    print("(d) loading a thread of 2,000 messages, median of 20")
    settings: list[tuple[str, Callable[[], Any]]] = [("SQLite", lambda: sqlite_savers("NORMAL"))]
    if has_postgres():
        settings.append(("PostgreSQL", postgres_savers))
    for name, make in settings:
        with make() as savers:
            config: Any = {"configurable": {"thread_id": "long"}}
            messages = [HumanMessage(text(QUESTION)) if n % 2 else AIMessage(text(ANSWER)) for n in range(2000)]
            for saver in savers.values():
                graph_with(saver).update_state(config, {"messages": messages}, as_node="answer")
            own, peer = savers["interlock"], savers["langgraph"]
            warm, cold, theirs = [], [], []
            for _ in range(20):
                warm.append(_timed(partial(own.get_tuple, config)))
                fresh = SQLCheckpointer(own.database)
                fresh.get_tuple(
                    {"configurable": {"thread_id": "another"}}
                )  # the connection and the statements are there
                cold.append(_timed(partial(fresh.get_tuple, config)))
                theirs.append(_timed(partial(peer.get_tuple, config)))
            a, b, c = (statistics.median(values) for values in (warm, cold, theirs))
            print(
                f"  {name:11}warm {a * 1e3:.2f} ms, cold {b * 1e3:.2f} ms, LangGraph's {c * 1e3:.2f} ms:"
                f" ratios {a / c:.2f} and {b / c:.2f}",
                flush=True,
            )


def _timed(work: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
