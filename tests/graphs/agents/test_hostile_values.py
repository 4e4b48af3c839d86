"""Whatever a model says and whatever a tool leaves behind, at any depth: an answer, a record, and the next message is served."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, JsonValue

from interlock import Event, Limits, Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel
from tests.support.servers import temporary_postgres_database

ADA = Principal("ada")
threads = itertools.count()
texts = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(["\ud83d", "a\0b", "\u202e", "x" * 5_000, ""])
leaves = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=True)
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400, 0])
    | texts
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
deep = st.integers(1, 400).map(lambda depth: functools.reduce(lambda inner, _: [inner], range(depth), 1))
hostile = values | deep
BOUNDED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Anything(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any = None


class Happened(Event, name="any.happened", version=1):
    value: Any


class Place:
    """A database, with a graph or an agent over it that is made anew for every example."""

    def __init__(self, url: str, kind: str) -> None:
        self.saver, self.kind = SQLCheckpointer(url), kind
        self.saver.setup()
        self.store = WorkflowStore(self.saver.database)

    def serve(self, message: AIMessage, leaves_behind: Any = None, part: str = "") -> tuple[list[str], list[str]]:
        """Say this, then be spoken to again: the kinds of the answers' codes, and of the records."""

        @command("any.run", effect="transactional")
        def anything(ctx: ToolContext[Anything], x: JsonValue = None) -> Anything:
            """Run."""
            if part == "data":
                ctx.data.value = leaves_behind
            if part == "event":
                ctx.emit(Happened(value=leaves_behind))
            return Anything(value=leaves_behind if part == "output" else 1)

        model = ScriptedChatModel([message], forever="Still here.")
        flow = Workflow("desk", data=Anything, model=model if self.kind == "graph" else None, limits=Limits(denials=99))
        flow.add_state("open").add_edge("open", anything, "open")
        graph: Any = (
            flow.compile(self.saver)
            if self.kind == "graph"
            else create_agent(
                model,
                [],
                middleware=[flow.as_middleware(workflow_store=self.store)],
                checkpointer=self.saver,
                context_schema=Principal,
            )
        )
        config = {"configurable": {"thread_id": f"t{next(threads)}"}}
        first = graph.invoke({"messages": [("user", "hello")]}, config, context=ADA)
        again = graph.invoke({"messages": [("user", "and now?")]}, config, context=ADA)
        assert again["messages"][-1].text == "Still here."
        (workflow_id,) = (
            one.workflow_id for one in self.store.instances() if one.thread_id == config["configurable"]["thread_id"]
        )
        assert self.store.verify(workflow_id) == []
        answers = [message.status for message in first["messages"] if message.type == "tool"]
        return answers, [record.kind.value for record in self.store.audit(workflow_id)]


@contextlib.contextmanager
def url_of(database: str, folder: Any) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder}/hostile.db"
    else:
        with temporary_postgres_database() as url:
            yield url


@pytest.fixture(scope="module", params=["sqlite-graph", "sqlite-agent", "postgresql-graph", "postgresql-agent"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    database, _, kind = request.param.partition("-")
    with url_of(database, tmp_path_factory.mktemp("hostile")) as url:
        made = Place(url, kind)
        yield made
        made.saver.close()


def calling(name: Any, args: Any, call_id: Any) -> AIMessage:
    message = AIMessage("said", tool_calls=[{"name": "any_run", "args": {}, "id": "1", "type": "tool_call"}])
    message.tool_calls[0].update({"name": name, "args": args, "id": call_id})
    return message


@BOUNDED
@given(value=hostile, name=texts, call_id=texts | st.none(), known=st.booleans())
def test_any_call_is_answered_and_recorded(
    place: Place, value: Any, name: str, call_id: str | None, known: bool
) -> None:
    answers, records = place.serve(calling("any_run" if known else name, {"x": value}, call_id))
    assert len(answers) == 1
    assert len(records) >= 2


@BOUNDED
@given(value=hostile, part=st.sampled_from(["output", "data", "event"]))
def test_anything_that_a_tool_leaves_behind_is_kept_or_refused(place: Place, value: Any, part: str) -> None:
    answers, records = place.serve(calling("any_run", {}, "1"), value, part)
    assert len(answers) == 1
    assert records[0] == "started"
    assert ("transition" in records) is (answers == ["success"])
    assert ("refusal" in records) is (answers == ["error"])
