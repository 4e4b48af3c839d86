"""The page on PostgreSQL: its code runs on a server, and the option that it names bounds the connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock import Principal
from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/howto/postgresql.md"
SHOWN = "postgresql://app@host/workflows"


def test_its_code_runs_on_a_server(postgres_database: str) -> None:
    names: dict[str, Any] = {"__name__": Path(PAGE).stem}
    (block,) = (block for block in blocks_of(PAGE) if block.language == "python")
    assert SHOWN in block.code
    code = block.code.replace(SHOWN, postgres_database)
    exec(compile("\n" * (block.line - 1) + code, str(ROOT / PAGE), "exec"), names)  # noqa: S102

    with names["checkpointer"] as checkpointer:
        instances = names["graph"].instances
        instances.start(principal=Principal("ada"), workflow_id="t-1")
        instances.propose("t-1", "ticket.close", {"ticketId": "7"}, principal=Principal("ada"), key="k")
        assert instances.get("t-1").state == "closed"
        assert checkpointer.database.capacity.connections == 20
