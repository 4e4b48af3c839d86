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
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from interlock import Capacity, Principal, SQLCheckpointer, WorkflowGraph, deliver
from interlock.checkpointing.tables.workflow import audit, instances, ledger, outbox, waits
from interlock.engines import Runs
from interlock.tools.errors import ConflictError, StoreUnavailable
from interlock.workflows.case.tables import cases
from interlock.workflows.engagement.events import MessageDelivered
from tests.engines.chaos_app import FLOWS, fill
from tests.engines.fleet import TO_STOP, Fleet
from tests.events.support import envelope

FIRST = 100_000
AT_ONCE = 50
"""How many runs are begun before approvals and events are looked at again."""
AHEAD = 500
"""How many runs have begun and not ended, at most."""
EVERY = 30.0
"""Seconds between two lines of how far it is."""
LAST = 900.0
"""Seconds that those which have begun get to end in, once no more are begun."""
STALL = 300.0
"""Seconds without a run that begins or ends, after which it is given up."""
BUSY = ("due", "again", "running")
"""What a job in the queue may be that nobody has to look at."""
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
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, and no fault."""
    done: Disturbed = field(default_factory=Disturbed)


class Outside:
    """Whoever decides and delivers, in any order, and again where an answer was lost."""

    def __init__(self, graphs: dict[str, WorkflowGraph], chance: random.Random) -> None:
        self._graphs, self.chance = graphs, chance
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
        self.chance.shuffle(found)
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


class Watch:
    """The loop's view: what has been begun and has ended, said now and then."""

    def __init__(self, graph: WorkflowGraph, say: Callable[[str], None]) -> None:
        self._graph, self._say = graph, say
        self.began = self._said = self._moved = time.monotonic()
        self._seen = (0, 0)
        self.ended = 0

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return time.monotonic() - self.began

    @property
    def still(self) -> float:
        """For how long no run has begun or ended."""
        return time.monotonic() - self._moved

    def look(self, report: Report) -> None:
        """Count what has ended; where the database is away, the last count stays."""
        with contextlib.suppress(StoreUnavailable), self._graph.engine.store.read() as connection:
            statement = sa.select(sa.func.count()).select_from(instances).where(instances.c.finished == 1)
            self.ended = int(connection.execute(statement).scalar_one())
        if self._seen != (report.runs, self.ended):
            self._seen, self._moved = (report.runs, self.ended), time.monotonic()
        if time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            self._say(f"{self.seconds:6.0f} s: {self.ended} of {report.runs} ended; {report.done}")


def run(
    url: str,
    *,
    runs: int,
    disturbed: Disturbed,
    workers: int = 3,
    concurrency: int = 4,
    seconds: float = 3600.0,
    last: float = LAST,
    patience: float = TO_STOP,
    seed: int = 7,
    restart: Callable[[], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
    log_file: str | None = None,
) -> Report:
    """Run them all, or as many as can be begun in so many seconds, and look at how they ended.

    It ends with that look in any case: when runs do not end within `last` seconds, when nothing moves for `STALL` seconds, when a worker
    does not stop within `patience` seconds, when an error happens here, and when it is interrupted (then nothing more is begun; interrupted
    again, it looks at once).
    """
    chance, report = random.Random(seed), Report(0)
    saver = SQLCheckpointer(url, capacity=Capacity(connections=8))
    saver.setup()
    fill(saver.database, range(FIRST, FIRST + runs))
    graphs = {name: flow().compile(saver) for name, flow in FLOWS.items()}
    watch = Watch(graphs["case"], say)
    with open(log_file or os.devnull, "ab") as log, contextlib.ExitStack() as stack:
        queue = Runs(graphs.values(), url, per_tenant=8, capacity=Capacity(connections=4))
        stack.callback(queue.close)
        fleet = Fleet(url, workers=workers, concurrency=concurrency, log=log, patience=patience)
        stack.callback(fleet.close)
        outside = Outside(graphs, chance)
        plan = _plan(disturbed, chance)
        for is_last in (False, True):
            try:
                _all_of_it(runs, seconds, last, is_last, queue, fleet, outside, plan, watch, restart, report)
                break
            except KeyboardInterrupt:
                report.wrong.append(f"it was interrupted after {watch.seconds:.0f} s, with {report.runs} begun")
                seconds, plan = 0.0, []
            except Exception:  # what has been run is looked at all the same
                report.wrong.append(
                    f"an error of the test itself after {watch.seconds:.0f} s: {traceback.format_exc()}"
                )
                seconds, plan = 0.0, []
            say(report.wrong[-1])
        report.seconds = watch.seconds
        report.wrong += fleet.wrong
        report.wrong += _wait_for_quiet(queue)
    say(f"{watch.seconds:6.0f} s: looks at {report.runs} runs")
    _look(graphs, report, range(FIRST, FIRST + report.runs))
    saver.close()
    return report


def _all_of_it(
    runs: int,
    seconds: float,
    last: float,
    is_last: bool,
    queue: Runs,
    fleet: Fleet,
    outside: Outside,
    plan: list[tuple[float, str]],
    watch: Watch,
    restart: Callable[[], None] | None,
    report: Report,
) -> None:
    begun_until = watch.began + seconds
    ends_by = max(begun_until, time.monotonic()) + last if is_last else begun_until + last

    def meanwhile() -> None:
        outside.act()
        watch.look(report)

    while True:
        is_over = report.runs == runs or time.monotonic() > begun_until
        if not is_over:
            room = min(AT_ONCE, runs - report.runs, AHEAD - (report.runs - watch.ended))
            report.runs += outside.begin(queue, range(FIRST + report.runs, FIRST + report.runs + max(room, 0)))
        meanwhile()
        fleet.wake()
        fleet.replace_ended()
        while plan and plan[0][0] <= max(watch.ended / runs, watch.seconds / seconds):
            _disturb(plan.pop(0)[1], fleet, outside.chance, restart, meanwhile, report)
        if is_over and watch.ended >= report.runs and not plan and fleet.are_all_awake:
            return
        if time.monotonic() > ends_by or watch.still > STALL:
            fleet.wake(everyone=True)
            report.wrong.append(
                f"only {watch.ended} of {report.runs} ended in {watch.seconds:.0f} s, and nothing began or ended in the last "
                f"{watch.still:.0f} s; was still to be done: {plan}"
            )
            return
        time.sleep(0.05)


def _plan(disturbed: Disturbed, chance: random.Random) -> list[tuple[float, str]]:
    """What is done after which share of the instances has ended, or of the time has passed."""
    kinds = [name for name in ("kills", "stops", "restarts", "deploys") for _ in range(getattr(disturbed, name))]
    at = sorted(chance.uniform(0.0, 0.9) for _ in kinds)
    chance.shuffle(kinds)
    return [*zip(at, kinds, strict=True)]


def _disturb(
    kind: str,
    fleet: Fleet,
    chance: random.Random,
    restart: Callable[[], None] | None,
    meanwhile: Callable[[], None],
    report: Report,
) -> None:
    which = chance.randrange(len(fleet.processes))
    match kind:
        case "kills":
            fleet.kill(which)
        case "stops":
            fleet.stop(which, seconds=7.0)
        case "restarts" if restart is not None:
            _restarted(restart, report)
        case "deploys":
            fleet.deploy(meanwhile)
    setattr(report.done, kind, getattr(report.done, kind) + 1)


def _restarted(restart: Callable[[], None], report: Report) -> None:
    """Restart the database. A busy machine may take longer than the server's program waits, which then says that it failed."""
    for _ in range(5):
        try:
            return restart()
        except AssertionError as error:
            report.notes.append(f"the database had to be restarted again: {error}")
            time.sleep(2.0)
    return restart()


def _wait_for_quiet(queue: Runs) -> list[str]:
    """Wait until nothing is queued, for a minute; what is left then, and what waits for a person, in words."""
    busy: list[Any] = []
    for _ in range(600):
        with contextlib.suppress(StoreUnavailable):
            busy = [one for status in BUSY for one in queue.list(status=status, tenant=None, limit=5)]
            if not busy:
                break
        time.sleep(0.1)
    needs = queue.list(status="person", tenant=None)
    return [*(f"in the queue still: {one}" for one in busy), *(f"in the queue: {one}" for one in needs)]


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
    parser.add_argument(
        "--log", help="where to keep what the workers say; a temporary file, which is kept if something is wrong"
    )
    given = parser.parse_args()
    wanted = Disturbed(given.kills, given.stops, given.restarts, given.deploys)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ended from outside, it looks at what has been run as well
    log = given.log or tempfile.mkstemp(prefix="interlock-kills-", suffix=".log")[1]

    def say(line: str) -> None:
        print(line, flush=True)

    with database(bool(given.restarts)) as (url, restart):
        report = run(
            url,
            runs=given.runs,
            disturbed=wanted,
            workers=given.workers,
            seconds=given.seconds,
            restart=restart,
            say=say,
            log_file=log,
        )
    say(f"{report.runs} runs of {given.runs} in {report.seconds:.0f} s: {dict(report.states)}; {report.done}")
    for line in [*report.notes, *report.wrong[:50]]:
        say(line)
    if report.wrong:
        say(f"{len(report.wrong)} things are wrong. The workers' log: {log}")
    else:
        say("Nothing is wrong.")
        if given.log is None:
            os.unlink(log)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
