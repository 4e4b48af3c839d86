"""Runs of the case, engagement and retail workflows on several workers, which are killed, stopped, deployed anew and lose their database.

Everything is decided and delivered from here, another process than those that run. In the end every instance has to stand where it would
undisturbed, with everything done once. `python -m tests.engines.kills --runs 10000 --kills 100 --stops 20 --restarts 1 --deploys 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from interlock import Capacity, Principal, SQLCheckpointer, WorkflowGraph, deliver
from interlock.checkpointing.tables.workflow import audit, instances, ledger, outbox, waits
from interlock.engines import Runs
from interlock.tools.errors import ConflictError, StoreUnavailable
from interlock.workflows.case.tables import cases
from interlock.workflows.engagement.events import MessageDelivered
from tests.engines.chaos_app import FLOWS, SPECS, fill
from tests.events.support import envelope

FIRST = 100_000
AT_ONCE = 50
"""How many runs are begun before approvals and events are looked at again."""
AHEAD = 500
"""How many runs have begun and not ended, at most."""
EVERY = 30.0
"""Seconds between two lines of how far it is."""
LAST = 900.0
"""Seconds that those which have begun get to end in."""
SUPERVISOR = Principal("sue", roles=frozenset({"supervisor"}))
ENDS = {"case": {"closed"}, "engagement": {"closed", "escalated"}, "retail-desk": {"handed_over"}}
TOOLS = {
    "case": {"case.assign": 1, "queue.reassign": 1, "case.close": 1},
    "engagement": {"engagement.send": 1},
    "retail-desk": {"order.cancel": 1, "desk.hand_over": 1},
}
EVENTS = {
    "case": {"case.assigned.v1": 2, "case.closed.v1": 1},
    "engagement": {"engagement.message.requested.v1": 2},
    "retail-desk": {"order.cancelled.v1": 1},
}


@dataclass
class Disturbed:
    """What is done to the workers."""

    kills: int = 0
    stops: int = 0
    restarts: int = 0
    deploys: int = 0


@dataclass
class Report:
    """How it ended."""

    runs: int
    """How many were begun."""
    seconds: float = 0.0
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: Disturbed = field(default_factory=Disturbed)


class Fleet:
    """Worker processes."""

    def __init__(self, url: str, *, workers: int, concurrency: int, log: Any) -> None:
        self._url, self._concurrency, self._log = url, concurrency, log
        self.release = 1
        self.processes = [self._started() for _ in range(workers)]

    def _started(self) -> subprocess.Popen[bytes]:
        apps = [part for spec in SPECS.values() for part in ("--app", spec)]
        options = [
            "--concurrency",
            str(self._concurrency),
            "--takeover",
            "4s",
            "--deadlines",
            "1",
            "--connections",
            "8",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "interlock", "work", *apps, "--db", self._url, *options],
            env={**os.environ, "CHAOS_RELEASE": str(self.release), "PYTHONPATH": os.getcwd()},
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self, which: int) -> None:
        self.processes[which].kill()
        self.processes[which].wait()
        self._start(which)

    def _start(self, which: int) -> None:
        self.processes[which] = self._started()

    def deploy(self) -> None:
        """One after another: told to stop, ended, started with the next release."""
        self.release += 1
        for which, process in enumerate(self.processes):
            # One that was started a moment ago does not listen yet, has begun nothing, and dies of the signal.
            listens = _catches(process.pid, signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            code = process.wait(120)
            assert code == 0 or (code == -signal.SIGTERM and not listens), (
                f"a worker that was told to stop ended with {code}"
            )
            self._start(which)

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            process.wait()


def _catches(pid: int, sign: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, as Linux says it."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (sign - 1) & 1)


class Outside:
    """Whoever decides and delivers, in any order, and again where an answer was lost."""

    def __init__(self, graphs: dict[str, WorkflowGraph], chance: random.Random) -> None:
        self._graphs, self._chance = graphs, chance
        self._delivered: set[str] = set()

    def begin(self, queue: Runs, numbers: range) -> int:
        """Begin a run for each number; how many of them are known to be begun. What was not is begun again, with its key."""
        names, begun = [*self._graphs], 0
        with contextlib.suppress(StoreUnavailable):
            for who in numbers:
                given = {"messages": [("user", str(who))]}
                queue.start(names[(who - FIRST) % 3], given, principal=Principal(f"c{who}"), key=str(who))
                begun += 1
        return begun

    def act(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            for graph in self._graphs.values():
                self._decide(graph)
            self._deliver(self._graphs["engagement"])

    def _decide(self, graph: WorkflowGraph) -> None:
        found = [*graph.instances.approvals(limit=200).approvals]
        self._chance.shuffle(found)
        for one in found:
            by = SUPERVISOR if graph.engine.definition.name == "case" else one.requester
            with contextlib.suppress(ConflictError):
                graph.instances.decide(one.approval_id, "approve", by=by)

    def _deliver(self, graph: WorkflowGraph) -> None:
        with graph.engine.store.read() as connection:
            found = connection.execute(
                sa.select(waits.c.workflow_id, waits.c.wait_id).where(waits.c.status == "open").limit(500)
            ).all()
        for workflow_id, wait_id in found:
            if wait_id in self._delivered or zlib.crc32(wait_id.encode()) % 4 == 0:
                continue  # a quarter is left to its deadline
            for channel in ("email", "sms"):
                event = MessageDelivered(customer_id="x", channel=channel)
                deliver(envelope(event, workflow_id, event_id=f"evt-{wait_id}-{channel}"), graph, resume=False)
            self._delivered.add(wait_id)


def run(
    url: str,
    *,
    runs: int,
    disturbed: Disturbed,
    workers: int = 3,
    concurrency: int = 4,
    seconds: float = 3600.0,
    seed: int = 7,
    restart: Callable[[], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
    log_file: str | None = None,
) -> Report:
    """Run them all, or as many as can be begun in so many seconds, and look at how they ended."""
    chance, report = random.Random(seed), Report(0)
    saver = SQLCheckpointer(url, capacity=Capacity(connections=8))
    saver.setup()
    fill(saver.database, range(FIRST, FIRST + runs))
    graphs = {name: flow().compile(saver) for name, flow in FLOWS.items()}
    with open(log_file or os.devnull, "wb") as log, contextlib.ExitStack() as stack:
        queue = Runs(graphs.values(), url, per_tenant=8, capacity=Capacity(connections=4))
        stack.callback(queue.close)
        began = time.monotonic()
        fleet = Fleet(url, workers=workers, concurrency=concurrency, log=log)
        stack.callback(fleet.close)
        outside = Outside(graphs, chance)
        plan = _plan(disturbed, chance)
        stopped: dict[int, float] = {}
        said, ended = began, 0
        while True:
            now = time.monotonic()
            is_over = report.runs == runs or now - began > seconds
            if not is_over:
                room = min(AT_ONCE, runs - report.runs, AHEAD - (report.runs - ended))
                report.runs += outside.begin(queue, range(FIRST + report.runs, FIRST + report.runs + max(room, 0)))
            outside.act()
            ended = _ended(graphs["case"])
            for which, until in [*stopped.items()]:
                if time.monotonic() > until:
                    fleet.processes[which].send_signal(signal.SIGCONT)
                    del stopped[which]
            while plan and plan[0][0] <= max(ended / runs, (now - began) / seconds):
                _disturb(plan.pop(0)[1], fleet, stopped, chance, restart, report.done)
            if now - said > EVERY:
                said = now
                say(f"{now - began:6.0f} s: {ended} of {report.runs} ended; {report.done}")
            if is_over and ended >= report.runs and not plan and not stopped:
                break
            if now - began > seconds + LAST:
                report.wrong.append(f"only {ended} of {report.runs} ended in {seconds + LAST} s")
                break
            time.sleep(0.05)
        report.seconds = time.monotonic() - began
        _wait_for_quiet(queue)
        report.wrong += [f"in the queue: {one}" for one in queue.list(status="person", tenant=None)]
    _look(graphs, report, range(FIRST, FIRST + report.runs))
    saver.close()
    return report


def _plan(disturbed: Disturbed, chance: random.Random) -> list[tuple[float, str]]:
    """What is done after which share of the instances has ended, or of the time has passed."""
    kinds = [name for name in ("kills", "stops", "restarts", "deploys") for _ in range(getattr(disturbed, name))]
    at = sorted(chance.uniform(0.0, 0.9) for _ in kinds)
    chance.shuffle(kinds)
    return [*zip(at, kinds, strict=True)]


def _disturb(
    kind: str,
    fleet: Fleet,
    stopped: dict[int, float],
    chance: random.Random,
    restart: Callable[[], None] | None,
    done: Disturbed,
) -> None:
    which = chance.randrange(len(fleet.processes))
    match kind:
        case "kills":
            stopped.pop(which, None)
            fleet.kill(which)
        case "stops":
            fleet.processes[which].send_signal(signal.SIGSTOP)
            stopped[which] = time.monotonic() + 7.0
        case "restarts" if restart is not None:
            restart()
        case "deploys":
            for one in [*stopped]:
                fleet.processes[one].send_signal(signal.SIGCONT)
                del stopped[one]
            fleet.deploy()
    setattr(done, kind, getattr(done, kind) + 1)


def _ended(graph: WorkflowGraph) -> int:
    while True:
        with contextlib.suppress(StoreUnavailable), graph.engine.store.read() as connection:
            statement = sa.select(sa.func.count()).select_from(instances).where(instances.c.finished == 1)
            return int(connection.execute(statement).scalar_one())
        time.sleep(0.2)


def _wait_for_quiet(queue: Runs) -> None:
    for _ in range(600):
        if not any(queue.list(status=status, tenant=None, limit=1) for status in ("due", "again", "running")):
            return
        time.sleep(0.1)


def _look(graphs: dict[str, WorkflowGraph], report: Report, numbers: range) -> None:
    store = graphs["case"].engine.store
    with store.read() as connection:
        rows = connection.execute(sa.select(instances.c.workflow_id, instances.c.workflow, instances.c.state)).all()
        calls = Counter(map(tuple, connection.execute(sa.select(ledger.c.workflow_id, ledger.c.tool, ledger.c.status))))
        events = Counter(map(tuple, connection.execute(sa.select(outbox.c.workflow_id, outbox.c.event_name))))
        moved = connection.execute(
            sa.select(cases.c.case_id, cases.c.queue_id, cases.c.is_closed).where(cases.c.case_id >= str(FIRST))
        ).all()
        unknown = connection.execute(
            sa.select(sa.func.count()).select_from(audit).where(audit.c.code == "outcome_unknown")
        ).scalar_one()
    if len(rows) != report.runs:
        report.wrong.append(f"{report.runs - len(rows)} runs were lost")
    for workflow_id, workflow, state in rows:
        report.states[workflow, state] += 1
        if state not in ENDS[workflow]:
            report.wrong.append(f"{workflow} {workflow_id} stands in {state}")
            continue
        for tool, times in TOOLS[workflow].items():
            found = calls[workflow_id, tool, "completed"]
            if found != times:
                report.wrong.append(f"{workflow} {workflow_id}: {tool} was carried out {found} times")
        for name, times in EVENTS[workflow].items():
            if events[workflow_id, name] != times:
                report.wrong.append(f"{workflow} {workflow_id}: {name} was emitted {events[workflow_id, name]} times")
        report.wrong += [f"{workflow_id}: {broken}" for broken in store.verify(workflow_id)]
    of_cases = [row for row in moved if (int(row[0]) - FIRST) % 3 == 0 and int(row[0]) in numbers]
    report.wrong += [
        f"the case {row[0]} is in {row[1]}" for row in of_cases if (row[1], bool(row[2])) != ("delivery", True)
    ]
    if unknown:
        report.wrong.append(f"{unknown} outcomes are unknown, of workflows whose effects are all transactional")


@contextlib.contextmanager
def database(restarts: bool) -> Iterator[tuple[str, Callable[[], None] | None]]:
    """A database to run on: on a server of one's own where it is to be restarted."""
    from tests.support.own_postgres import own_postgres
    from tests.support.servers import temporary_postgres_database

    if restarts:
        with own_postgres(connections=100) as server:
            yield server.url, lambda: server.restart("immediate")
        return
    with temporary_postgres_database() as url:
        yield url, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("runs", 300), ("kills", 10), ("stops", 3), ("restarts", 0), ("deploys", 1), ("workers", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=7200.0, help="begin no run after so many seconds")
    parser.add_argument("--log", help="keep what the workers say in this file")
    given = parser.parse_args()
    wanted = Disturbed(given.kills, given.stops, given.restarts, given.deploys)
    with database(bool(given.restarts)) as (url, restart):
        report = run(
            url,
            runs=given.runs,
            disturbed=wanted,
            workers=given.workers,
            seconds=given.seconds,
            restart=restart,
            say=print,
            log_file=given.log,
        )
    print(f"{report.runs} runs of {given.runs} in {report.seconds:.0f} s: {dict(report.states)}; {report.done}")
    for line in report.wrong[:50]:
        print(line)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
