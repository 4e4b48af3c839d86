"""The demo as JSON lines, for scripts."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from ...checkpointing.store import AuditRecord, Instance
from ...checkpointing.store.audit import Broken
from ...tools.canonical import JsonObject
from ..support.output import print_json
from .cases import Case
from .desk import Desk
from .playing import Teller


class Lines(Teller):
    """Tells it to a program: one JSON object a line, each with a `type`."""

    def opened(self, desk: Desk) -> None:
        """Say which run this is."""
        print_json({"type": "run", "schemaVersion": 1, "number": desk.run, "resumed": not desk.is_new})

    @override
    def case(self, number: int, total: int, case: Case) -> None:
        print_json({"type": "case", "case": case.key, "number": number, "total": total, "title": case.title})

    @override
    def resumed(self, instance: Instance) -> None:
        print_json(
            {
                "type": "resumed",
                "workflowId": instance.workflow_id,
                "state": instance.state,
                "revision": instance.revision,
                "records": instance.audit_count,
            }
        )

    @override
    def customer(self, case: Case, text: str) -> None:
        print_json({"type": "customer", "customer": case.customer_id, "text": text})

    @override
    def desk(self, text: str) -> None:
        print_json({"type": "desk", "text": text})

    @override
    def offered(self, state: str, tools: list[str]) -> None:
        print_json({"type": "offered", "state": state, "nextAllowedTools": tools})

    @override
    def proposed(self, tool: str, arguments: Mapping[str, Any]) -> None:
        print_json({"type": "proposal", "tool": tool, "arguments": arguments})

    @override
    def asked(self, request: JsonObject) -> None:
        print_json({"type": "approval", "request": request})

    @override
    def decided(self, request: JsonObject, answer: JsonObject, by: str) -> None:
        print_json({"type": "decision", "approvalId": request["approvalId"], "answer": answer, "by": by})

    @override
    def outcome(self, event: JsonObject) -> None:
        print_json({**event, "type": str(event["type"]).removeprefix("interlock.")})

    @override
    def trail(self, case: Case, instance: Instance, records: list[AuditRecord], broken: list[Broken]) -> None:
        print_json(
            {
                "type": "audit",
                "case": case.key,
                "workflowId": instance.workflow_id,
                "state": instance.state,
                "verified": not broken,
                "records": [record.to_json() for record in records],
            }
        )

    @override
    def end(self, desk: Desk) -> None:
        print_json({"type": "end", "number": desk.run})

    def stopped(self) -> None:
        """Say that it was stopped."""
        print_json({"type": "stopped"})


__all__ = ["Lines"]
