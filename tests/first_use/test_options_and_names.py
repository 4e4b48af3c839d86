"""First mistakes in names: options, keys of data, values of another kind, and what the command line is given."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.prebuilt import ToolNode
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, computed_field, model_validator

from interlock import Approval, Confirmation, EventService, Limits, Principal, SQLCheckpointer, Workflow, command, read
from interlock.serving import Development, service
from interlock.tools.errors import InvalidInput
from interlock.tools.principal import LibraryActor, recorded_principal
from tests.first_use.support import HERE, HI, Data, Mistake, do, flow, get, invoke, table

ANN = Principal("ann")


def started(**data: Any) -> Callable[[], Any]:
    return lambda: invoke(flow(data=Data), {**HI, "data": data})


def workflow(**options: Any) -> Callable[[], Any]:
    return lambda: Workflow("w", **options)


def state(**options: Any) -> Callable[[], Any]:
    return lambda: Workflow("w").add_state("open", **options)


def edge(**options: Any) -> Callable[[], Any]:
    return lambda: flow(edge=options)


def wait(**options: Any) -> Callable[[], Any]:
    return lambda: Workflow("w").add_wait("paid", **options)


def rule(**options: Any) -> Callable[[], Any]:
    return lambda: Approval(**options)


def tool(make: Any, **options: Any) -> Callable[[], Any]:
    return lambda: make("b.do", **options)(do.function)


def compiled(given: Any) -> Callable[[], Any]:
    return lambda: flow().compile(given)


def opened(url: Any) -> Callable[[], Any]:
    return lambda: SQLCheckpointer(url)


def plain(given: object, call: Any = do) -> Callable[[], Any]:
    def run() -> Any:
        made = Workflow("w").add_state("open").add_state("closed", final=True).add_edge("open", do, "closed")
        instances = made.compile(in_memory=True).instances
        begun = instances.start(principal=ANN)
        return instances.propose(begun.workflow_id, call, given, principal=ANN, key="k")  # type: ignore[arg-type]

    return run


def of_a_class() -> Any:
    class Parcel:
        """Not data."""

    def send(parcel: Parcel) -> str:
        """Send."""
        return "sent"

    send.__annotations__ = {"parcel": Parcel, "return": str}
    return command("parcel.send")(send)


def compiled_with(**options: Any) -> Callable[[], Any]:
    return lambda: flow(edge=options, data=Data).compile()


def two_states(**options: Any) -> Any:
    made = Workflow("w").add_state("open", **options).add_state("closed", final=True)
    return made.add_edge("open", do, "closed").compile()


def served(**options: Any) -> Callable[[], Any]:
    return lambda: service(flow().compile(in_memory=True), **options)


def tool_node() -> Any:
    made = flow().add_state("look", node=ToolNode([get.as_tool()]))
    return made.add_edge("open", get, "look").add_edge("look", do, "closed").compile()


class Other(BaseModel):
    """The data of another workflow."""

    colour: str = "red"


@table(
    ("a key that the data does not have", started(n=1, m=2), "has 'm', which Data does not know", "its fields are n", "add the fields"),
    ("a key with a typo", lambda: invoke(flow(data=Fields), {**HI, "data": {"ordr_id": "1"}}), "has 'ordr_id'", "Did you mean 'order_id'"),
    ("the data of another workflow", lambda: invoke(flow(data=Data), {**HI, "data": Other()}), "has 'colour'", "its fields are n"),
    ("a start with an unknown key", lambda: flow(data=Data).compile(in_memory=True).instances.start(principal=ANN, data={"m": 1}), "has 'm'", "Nothing was started"),
    ("tools for the whole workflow", workflow(tools=[do]), "has no option 'tools'", "add_state(name, tools=[...])"),
    ("a workflow's llm", workflow(llm="openai:x"), "has no option 'llm'", "model="),
    ("a workflow's system prompt", workflow(system_prompt="x"), "has no option 'system_prompt'", "prompt="),
    ("a list of states", workflow(states=["a"]), "has no option 'states'", "add_state(name)"),
    ("a workflow's checkpointer", workflow(checkpointer=None), "has no option 'checkpointer'", "compile(checkpointer)"),
    ("a state schema", workflow(state_schema=Data), "has no option 'state_schema'", "data="),
    ("a mistyped option of a workflow", workflow(limit=3), "has no option 'limit'", "Did you mean limits=?"),
    ("an option that is like none", workflow(zzz=3), "has no option 'zzz'", "Its options are version, data"),
    ("a mistyped option of a state", state(tool=[do]), "has no option 'tool'", "Did you mean tools=?"),
    ("the end of a workflow", state(end=True), "has no option 'end'", "final=True"),
    ("a function of a state", state(function=print), "has no option 'function'", "decide="),
    ("an approval of a state", state(approval=True), "has no option 'approval'", "belongs to an edge"),
    ("a mistyped option of an edge", edge(aproval=True), "has no option 'aproval'", "Did you mean approval=?"),
    ("a condition of an edge", edge(condition=bool), "has no option 'condition'", "guard="),
    ("a role of an edge", edge(role="lead"), "has no option 'role'", "approval=Approval(role="),
    ("a deadline of an edge", edge(within="24h"), "has no option 'within'", "approval=Approval(within="),
    ("an event of a wait", wait(event=None), "has no option 'event'", "for_event="),
    ("a timeout of a wait", wait(timeout="2h"), "has no option 'timeout'", "within="),
    ("several roles of an approval", rule(roles={"lead"}), "has no option 'roles'", "role="),
    ("a timeout of an approval", rule(timeout="24h"), "has no option 'timeout'", "within="),
    ("a mistyped option of an approval", rule(whitin="24h"), "has no option 'whitin'", "Did you mean within=?"),
    ("an effect of a read", tool(read, effect="transactional"), "has no option 'effect'", "declare what writes with @command"),
    ("an approval of a tool", tool(command, approval=True), "has no option 'approval'", "belongs to an edge"),
    ("a guard of a tool", tool(command, guard=bool), "has no option 'guard'", "belongs to an edge"),
    ("a mistyped option of a tool", tool(command, timout=3), "has no option 'timout'", "Did you mean timeout=?"),
    ("a parameter of a plain class", of_a_class, "has a parameter that cannot be read from JSON", "pydantic model"),
    ("a path as a checkpointer", compiled(Path("x.db")), "That is a path", "SQLCheckpointer('sqlite:///x.db')"),
    ("a connection as a checkpointer", compiled(sqlite3.connect(":memory:")), "a connection or an engine", "SQLCheckpointer("),
    ("an engine as a checkpointer", compiled(sa.create_engine("sqlite://")), "a connection or an engine", "SQLCheckpointer("),
    ("a variable that is not set, as a URL", opened(os.environ.get("NOT_SET")), "the type NoneType", "sqlite:///shop.db"),
    ("a path as a URL", opened(Path("x.db")), "the type PosixPath", "give sqlite:///x.db"),
    ("two slashes for a file", opened("sqlite://x.db"), "names the host 'x.db'", "three slashes (sqlite:///shop.db)"),
    ("a config that is a text", lambda: invoke(flow(), config="t-1"), "The config of the run is of the type str", '{"configurable"'),
    ("a function in place of a tool's name", plain({"x": "1"}, do.function), "tool is of the type function", "its contract"),
    ("LangGraph's ToolNode as a state", tool_node, "has a ToolNode as its node", "tools=[...]"),
    ("a mistyped limit", lambda: Limits(call=3), "has no option 'call'", "Did you mean calls=?"),  # type: ignore[call-arg]
    ("a limit in words", lambda: Limits(calls="3"), "Limits(calls='3')", "give a number from 0"),  # type: ignore[arg-type]
    ("a negative limit", lambda: Limits(denials=-1), "Limits(denials=-1)", "give a number from 0"),
    ("a role that confirms", lambda: Confirmation(role="lead"), "has no option 'role'", "Approval(role=...)"),  # type: ignore[call-arg]
    ("an edge that sets no field", compiled_with(sets={"m": 1}), "sets 'm'", "its fields are n"),
    ("an edge that sets data of none", lambda: flow(edge={"sets": {"m": 1}}).compile(), "sets 'm'", "data=CaseData"),
    ("an order in words", compiled_with(order="1"), "order='1'", "a whole number"),
    ("a decision that is no function", lambda: two_states(decide="a.do"), "decide='a.do'", "Give a function of the view"),
    ("a node that is no function", lambda: two_states(node="a.do"), "node='a.do'", "a compiled graph"),
    ("settings in a list", state(model_settings=["x"]), "model_settings=['x']", "give a mapping"),
    ("a state mapping in a list", workflow(state_mapping=["x"]), "state_mapping=['x']", "give a mapping"),
    ("a middleware's store by URL", lambda: flow().as_middleware(workflow_store="sqlite:///x.db"), "as its workflow store", "WorkflowStore('sqlite:///desk.db')"),  # type: ignore[arg-type]
    ("a service for development: True", served(development=True), "development= is True", "give Development()"),
    ("one operator's role", served(development=Development(), operators="operator"), "operators= is 'operator'", "['operator']"),
    ("one principal for every request", served(principal=ANN), "principal= is of the type Principal", "a function of the request"),
    ("tokens as a text", served(tokens="secret"), "tokens= is 'secret'", "Tokens("),
    ("people by their names", lambda: Development(("ann",)), "has 'ann'", "Principal('ann')"),  # type: ignore[arg-type]
    ("nobody who develops", lambda: Development(()), "people=()", "a tuple of principals"),
    ("a bus by URL", lambda: EventService(flow().compile(in_memory=True), "nats://127.0.0.1"), "bus is of the type str", "open_bus("),  # type: ignore[arg-type]
    ("the record of a graph", lambda: flow().compile(in_memory=True).audit(HERE), "A WorkflowGraph has no audit", "graph.instances.audit("),  # type: ignore[attr-defined]
    ("the approvals of a graph", lambda: flow().compile(in_memory=True).approvals(), "A WorkflowGraph has no approvals", "graph.instances.approvals("),  # type: ignore[attr-defined]
    ("the id of the library", lambda: Principal("interlock.deadline"), "are Interlock's own", "Give another id"),
)  # fmt: skip
def test_it_is_said(mistake: Mistake) -> None:
    mistake.check()


def test_an_unknown_option_is_a_type_error_as_everywhere_in_python() -> None:
    with pytest.raises(TypeError, match="Did you mean approval="):
        edge(aproval=True)()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Workflow()  # type: ignore[call-arg]


class Fields(BaseModel):
    """Data whose fields have other names, too."""

    order_id: str = Field(default="", validation_alias=AliasChoices("order_id", "orderId", AliasPath("order", "id")))
    n: int = Field(default=0, validation_alias=AliasChoices("n", "number"))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.n


class Loose(BaseModel):
    """Data that says itself that other keys are dropped."""

    model_config = ConfigDict(extra="ignore")
    n: int = 0


class Older(BaseModel):
    """Data that reads what an earlier version called otherwise."""

    n: int = 0

    @model_validator(mode="before")
    @classmethod
    def rename(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"n": given.get("count", given.get("n", 0))}


@pytest.mark.parametrize(
    ("model", "given", "kept"),
    [
        (Fields, {"orderId": "1", "number": 2}, {"order_id": "1"}),
        (Fields, {"order": {"id": "1"}}, {"order_id": "1"}),
        (Loose, {"n": 1, "m": 2}, {"n": 1}),
        (Older, {"count": 3}, {"n": 3}),
        (Data, Data(n=4), {"n": 4}),
    ],
)
def test_other_names_that_the_model_knows_are_read(model: Any, given: Any, kept: dict[str, Any]) -> None:
    data = invoke(flow(data=model, steps=["hello"]), {**HI, "data": given})["data"]
    assert {name: data[name] for name in kept} == kept


def test_a_wrong_key_starts_nothing() -> None:
    graph = flow(data=Data).compile(in_memory=True)
    with pytest.raises(InvalidInput) as refused:
        graph.invoke({**HI, "data": {"m": 1}}, HERE)
    assert refused.value.details == {"unknown": ["m"]}
    assert graph.engine.store.instances() == []


def test_a_contract_is_no_name_in_a_script() -> None:
    from interlock.testing import call

    with pytest.raises(TypeError, match=r"takes the name of a tool, and was given a ToolContract; give 'a\.do'"):
        call(do, x="1")  # type: ignore[arg-type]


def test_the_record_still_names_the_library() -> None:
    actor = LibraryActor.deadline("default")
    assert recorded_principal(actor.to_json()) == actor
    assert recorded_principal(ANN.to_json()) == ANN


MODULES = {
    "good": "from tests.first_use.support import flow\nworkflow = flow()\n",
    "imports": "import nothing_there\n",
    "breaks": "x = 1\n1 / 0\n",
    "leaves": "import sys\nsys.exit(3)\n",
    "unreadable": "def workflow(:\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    for name, text in MODULES.items():
        (made / f"{name}.py").write_text(text, "utf-8")
    return made


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("good.py:workflow", ["names a file", "good:workflow"]),
        ("./good.py:workflow", ["names a file", "good:workflow"]),
        ("some/good.py:workflow", ["names a file", "some.good:workflow"]),
        ("imports:workflow", ["ModuleNotFoundError: No module named 'nothing_there'", "imports.py, line 1"]),
        ("breaks:workflow", ["ZeroDivisionError: division by zero", "breaks.py, line 2", "python -c 'import breaks'"]),
        ("leaves:workflow", ["SystemExit: 3", "leaves.py, line 2"]),
        ("unreadable:workflow", ["SyntaxError: invalid syntax", "unreadable.py, line 1"]),
    ],
)
def test_the_command_line_says_what_is_wrong_with_an_application(folder: Path, app: str, says: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "interlock", "show", app],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "400"},
    )  # fmt: skip
    said = " ".join(run.stderr.split())
    assert run.returncode == 2
    assert "Traceback" not in said
    assert [part for part in says if part not in said] == [], said
