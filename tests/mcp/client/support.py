"""Banks to talk to, locked; and workflows that use their tools."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock import Principal, SQLCheckpointer, ToolContract, Workflow, WorkflowGraph, WorkflowStore
from interlock.mcp import MCPTools
from interlock.mcp.lock.definitions import Listing, ServerIdentity, ToolDefinition
from interlock.mcp.lock.lockfile import LockFile
from interlock.testing import ScriptedChatModel, call
from interlock.tools.kinds import ToolKind

BANK = Path(__file__).parent / "bank.py"
TOOLS: list[dict[str, Any]] = [
    {
        "name": "transfer",
        "title": "Transfer money",
        "description": "  Transfer money to an account.\n\nWhole units only. ",
        "inputSchema": {
            "type": "object",
            "properties": {"amount": {"type": "integer", "minimum": 1}, "to": {"type": "string", "default": None}},
            "required": ["amount"],
            "additionalProperties": False,
        },
        "outputSchema": {"type": "object", "properties": {"left": {"type": "integer"}}, "required": ["left"]},
        "annotations": {"destructiveHint": True},
    },
    {
        "name": "get-balance",
        "description": "Tell the balance.",
        "inputSchema": {"type": "object", "properties": {"account": {"type": "string"}}},
    },
    {"name": "environment", "description": "Tell the environment.", "inputSchema": {"type": "object"}},
]
ADA = Principal("ada")


@dataclass
class Bank:
    """A bank in a folder of its own."""

    folder: Path

    @classmethod
    def at(cls, folder: Path, **behaviour: Any) -> Bank:
        """Open one, and lock what it lists at first."""
        folder.mkdir(parents=True, exist_ok=True)
        bank = cls(folder)
        bank.behave(**behaviour)
        bank.relock()
        return bank

    def behave(self, **behaviour: Any) -> None:
        """Have it behave otherwise from the next request on."""
        now = {"tools": copy.deepcopy(TOOLS), **behaviour}
        waiting = self.folder / "behaviour.next"
        waiting.write_text(json.dumps(now), "utf-8")
        waiting.replace(self.folder / "behaviour.json")

    def relock(self) -> None:
        """Write the lock file as a review of what it lists now would."""
        now = json.loads((self.folder / "behaviour.json").read_text("utf-8"))
        tools = tuple(map(ToolDefinition.from_json, now["tools"]))
        identity = ServerIdentity(now.get("name", "bank"), now.get("version", "1.0"), "2026-07-28")
        LockFile().with_listing("bank", {}, Listing(identity, tools)).save(self.lock)

    @property
    def lock(self) -> Path:
        return self.folder / "mcp.lock.json"

    @property
    def target(self) -> list[str]:
        return [sys.executable, "-S", str(BANK), str(self.folder)]

    def tools(self, **options: Any) -> MCPTools:
        """Its tools in the eyes of an application."""
        given = {"timeout": 20.0, "connect_timeout": 20.0, "reads": ["get-balance", "environment"], **options}
        return MCPTools("bank", self.target, lock=self.lock, **given)

    def read(self, name: str) -> list[dict[str, Any]]:
        """What is written in one of its files."""
        path = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    @property
    def charged(self) -> list[int]:
        """The amounts of all transfers that took place."""
        return [entry["amount"] for entry in self.read("ledger")]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls that reached it."""
        return [entry["params"] for entry in self.read("requests") if entry["method"] == "tools/call"]


def changed(name: str, **fields: Any) -> list[dict[str, Any]]:
    """The bank's tools with something of one of them changed."""
    tools = copy.deepcopy(TOOLS)
    next(tool for tool in tools if tool["name"] == name).update(fields)
    return tools


def graph_of(
    contract: ToolContract,
    *arguments: Mapping[str, Any],
    saver: SQLCheckpointer,
    store: WorkflowStore | None = None,
    **edge: Any,
) -> WorkflowGraph:
    """A workflow whose model makes these calls of a tool, one after another."""
    model = ScriptedChatModel([call(contract.wire_name, **one) for one in arguments], forever="Done.")
    desk = Workflow("desk", model=model)
    desk.add_state("open")
    if contract.kind is ToolKind.READ:  # a desk that only reads has to end somewhere
        desk.add_state("closed", final=True)
    desk.add_edge("open", contract, "closed" if contract.kind is ToolKind.READ else "open", **edge)
    return desk.compile(saver) if store is None else desk.compile(saver, workflow_store=store)


def thread(name: str = "t-1") -> dict[str, Any]:
    """The config of a thread."""
    return {"configurable": {"thread_id": name}}


SAID = {"messages": [("user", "Go.")]}
