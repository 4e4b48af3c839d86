"""One workflow behind each of its doors, in a database that outlives the process, by a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import ToolMessage

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowStore
from interlock.testing import Clock, ScriptedChatModel

ANN = Principal("ann")
"""Whom the instances serve, and on whose behalf the model proposes."""
BOB = Principal("bob")
CAT = Principal("cat", roles={"supervisor"})  # type: ignore[arg-type]

WAYS = ("graph", "door", "middleware")
Flow = Callable[[ScriptedChatModel], Workflow]


@dataclass
class Place:
    """A database and the clock that everything in it goes by; `open` is a new process, as far as memory goes."""

    url: str
    clock: Clock = field(default_factory=Clock)
    opened: list[Any] = field(default_factory=list)

    def open(self, flow: Flow, steps: list[Any], *, way: str = "graph", principal: Principal = ANN) -> Case:
        saver = SQLCheckpointer(self.url)
        self.opened.append(saver)
        store = WorkflowStore(saver.database, clock=self.clock)
        workflow = flow(ScriptedChatModel(steps, forever="Done."))
        if way != "middleware":
            graph: Any = workflow.compile(saver, workflow_store=store)
            return Case(graph, graph.instances, graph.engine, way, principal)
        middleware = workflow.as_middleware(workflow_store=store)
        saver.setup()
        model = ScriptedChatModel(steps, forever="Done.")
        agent = create_agent(model, [], middleware=[middleware], checkpointer=saver, context_schema=Principal)
        return Case(agent, middleware.instances, middleware.engine, way, principal)

    def close(self) -> None:
        for saver in self.opened:
            saver.close()


@dataclass
class Case:
    """One instance, whichever way it is acted on."""

    graph: Any
    instances: Any
    engine: Any
    way: str
    principal: Principal
    thread: str = "t-1"

    @property
    def config(self) -> dict[str, Any]:
        return {"configurable": {"thread_id": self.thread}}

    @property
    def id(self) -> str:
        return "case-1" if self.way == "door" else str(self.instances.id_of(self.config))

    @property
    def row(self) -> Any:
        return self.engine.store.get(self.id)

    def say(self, text: str = "please", *, by: Principal | None = None, **given: Any) -> dict[str, Any]:
        """One turn of the conversation; the scripted model takes its next steps."""
        return dict(
            self.graph.invoke({"messages": [("user", text)], **given}, self.config, context=by or self.principal)
        )

    def begin(self, **data: Any) -> str:
        """Make the instance that is worked on at the door."""
        self.instances.start(data=data or None, principal=self.principal, workflow_id=self.id)
        return self.id

    def propose(self, tool: str, key: str, *, by: Principal | None = None, **arguments: Any) -> Any:
        return self.instances.propose(self.id, tool, arguments, principal=by or self.principal, key=key)

    def allowed(self, by: Principal | None = None) -> list[str]:
        return [*self.instances.snapshot(self.id, principal=by or self.principal).next_allowed_tools]

    def waiting(self) -> list[Any]:
        return list(self.engine.store.pending_approvals(self.id))


def results(output: dict[str, Any]) -> list[dict[str, Any]]:
    """What each call of a conversation was answered with, in its order."""
    return [json.loads(str(one.content)) for one in output["messages"] if isinstance(one, ToolMessage)]


def codes(output: dict[str, Any]) -> list[str]:
    """Whether each call was carried out, or the code of its error."""
    return ["ok" if one["ok"] else one["error"]["code"] for one in results(output)]
