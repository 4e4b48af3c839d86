"""A node writes the channels that changed, and what they hold is what the row has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")
OFFER = {"state", "next_allowed_tools"}
"""What whoever streams the updates sees beside each thing that a model says."""
ROW = {"workflow_id", "state", "revision", "data", "next_allowed_tools"}
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Notes(BaseModel):
    """The data: a flag of whatever type."""

    flag: Any = 1


@command("flag.set", effect="transactional")
def set_flag(ctx: ToolContext) -> str:
    """Set the flag."""
    ctx.data.flag = True
    return "set"


def desk(tmp_path: Path, model: Any) -> Any:
    flow = Workflow("desk", data=Notes, model=model)
    flow.add_state("open").add_edge("open", set_flag, "open")
    return flow.compile(SQLCheckpointer(f"sqlite:///{tmp_path}/desk.db"))


def writes(graph: Any, text: str) -> list[tuple[str, set[str]]]:
    """What each node of a turn writes of the row."""
    chunks = graph.stream({"messages": [("user", text)]}, CONFIG, context=ADA, stream_mode="updates")
    return [(node, ROW & set(update or {})) for chunk in chunks for node, update in chunk.items()]


def test_a_state_writes_of_the_row_what_its_channels_do_not_show(tmp_path: Path) -> None:
    graph = desk(tmp_path, ScriptedChatModel(["Hello.", "Hello again.", call("flag.set"), "Set."]))

    assert writes(graph, "hello") == [("open", ROW)]
    assert writes(graph, "hello again") == [("open", OFFER)]
    proposed, carried_out, said = writes(graph, "set it")

    assert proposed == ("open", OFFER)
    assert {"revision", "data"} <= carried_out[1]
    assert said == ("open", OFFER)
    values = graph.get_state(CONFIG).values
    row = graph.instances.get(CONFIG)
    assert (values["revision"], values["state"], values["data"]) == (row.revision, row.state, row.data)
    graph.checkpointer.close()


def test_data_that_is_equal_in_python_and_another_in_json_is_written(tmp_path: Path) -> None:
    graph = desk(tmp_path, ScriptedChatModel(["Hello.", "Hello again."]))
    graph.invoke({"messages": [("user", "hello")]}, CONFIG, context=ADA)
    assert graph.get_state(CONFIG).values["data"]["flag"] is not True
    graph.instances.execute(CONFIG, "flag.set", {}, principal=ADA)

    assert writes(graph, "hello again") == [("open", {"revision", "data"} | OFFER)]

    assert graph.get_state(CONFIG).values["data"]["flag"] is True
    graph.checkpointer.close()
