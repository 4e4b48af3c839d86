"""Run a story and tell all of it: answers, records, ledger, approvals, waits and events, with made-up names for what differs each time."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from interlock import Principal, Workflow, WorkflowGraph, WorkflowStore
from interlock.checkpointing.store import inbox, outbox
from interlock.checkpointing.store import ledger as ledger_rows
from interlock.checkpointing.store import waits as wait_rows
from interlock.checkpointing.tables.workflow import ledger
from interlock.operations import Deliveries
from interlock.tools.errors import InterlockError
from tests.events.support import Clock

GOLDEN = Path(__file__).with_name("golden")
ANN = Principal("ann", roles=frozenset({"clerk"}))
BOSS = Principal("boss", roles=frozenset({"boss"}))

_MADE_UP = re.compile(
    r"\b(audit|key|wf|evt|approval|apr|trace|msg|wait|call|proposal)_[0-9a-z]{8,}\b"
    r"|\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)


class Story:
    """One instance of a workflow, what is done with it, and what is said of that.

    Args:
        flow: The workflow.
        who: Who begins it.
    """

    def __init__(self, flow: Workflow, who: Principal = ANN, data: Any = None) -> None:
        self.clock = Clock()
        self.store = WorkflowStore.in_memory(clock=self.clock)
        self.graph: WorkflowGraph = flow.compile(workflow_store=self.store)
        self.deliveries = Deliveries(self.graph)
        self.who = who
        self.config: Any = {"configurable": {"thread_id": "t-1"}}
        self.said: list[Any] = []
        self.approval = ""
        given: dict[str, Any] = {"messages": [("user", "go on")]}
        self.run(given if data is None else {**given, "data": data})
        self.id = self.graph.instances.id_of(self.config)

    def run(self, given: Any = None, by: Principal | None = None) -> None:
        """Run the graph, and note where it stops."""

        def stops() -> Any:
            output = self.graph.invoke(given, self.config, context=by or self.who)
            return [one.value for one in output.get("__interrupt__", [])]

        self.note("run", stops)
        self.approval = next((said[0]["approvalId"] for said in [self.said[-1]["run"]] if _asks(said)), self.approval)

    def do(self, tool: str, by: Principal | None = None, key: str | None = None, **arguments: Any) -> None:
        """Propose at the door."""
        self.note(
            f"do {tool}",
            lambda: self.graph.instances.execute(
                self.id, tool, arguments, principal=by or self.who, idempotency_key=key
            ),
        )

    def decide(self, decision: Any, by: Principal = BOSS) -> None:
        """Decide on the approval that was asked for last."""
        self.note("decide", lambda: self.graph.instances.decide(self.approval, decision, by=by))

    def deliver(self, event: Any) -> None:
        """Deliver an event."""
        self.note("deliver", lambda: self.deliveries.deliver(event))

    def note(self, what: str, do: Callable[[], Any]) -> None:
        """Do something and note what came of it; the clock goes on by a second."""
        self.clock.forward(seconds=1)
        try:
            came = do()
        except InterlockError as error:
            came = {
                "raised": type(error).__name__,
                "code": error.code,
                "message": error.message,
                "details": error.details,
            }
        self.said.append({what: _plain(came)})

    def told(self) -> Any:
        """All of it."""
        with self.store.read() as connection:
            keys = connection.execute(sa.select(ledger.c.idempotency_key).order_by(ledger.c.started_at, ledger.c.tool))
            entries = [ledger_rows.load(connection, self.id, row[0]) for row in keys]
            waits = wait_rows.of_instance(connection, self.id)
            told = {
                "answers": self.said,
                "instance": {name: getattr(self.store.get(self.id), name) for name in _OF_INSTANCE},
                "records": [{**record.to_json()} for record in self.store.audit(self.id)],
                "ledger": entries,
                "waits": [[wait, wait_rows.items(connection, wait.wait_id, limit=20)] for wait in waits],
                "out": outbox.listing(connection),
                "in": inbox.listing(connection),
            }
        if self.approval:
            told["approval"] = [self.store.approval(self.approval), self.store.decisions(self.approval)]
        told["verified"] = self.store.verify(self.id)
        self.store.close()
        return named(_plain(told))


_OF_INSTANCE = (
    "tenant", "workflow", "workflow_version", "state", "revision", "data", "finished", "served", "running_key", "lease_owner",
    "lease_epoch", "lease_until",
)  # fmt: skip


def named(told: Any) -> Any:
    """The same with a number for each made-up name, in the order in which they come."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        kind = found[1] or ("uuid" if "-" in found[0] else "digest" if len(found[0]) == 64 else "interrupt")
        if found[0] not in names:
            names[found[0]] = f"<{kind} {sum(one.startswith(f'<{kind} ') for one in names.values()) + 1}>"
        return names[found[0]]

    return json.loads(_MADE_UP.sub(name, json.dumps(told, ensure_ascii=False)))


def _asks(said: Any) -> bool:
    return isinstance(said, list) and bool(said) and "approvalId" in said[0]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "to_json"):
        return _plain(value.to_json())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, str) and value[:1] == "{":
        with suppress(ValueError):  # an envelope, as its text
            return {"json": json.loads(value)}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
