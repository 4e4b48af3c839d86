"""Plays a case: sends the customer's turns, prints the graph's steps, and asks the graph's questions.

The position of a case is never stored here. It is read from the graph, so that another process can continue after a kill at any
point.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from ...checkpointing.store import AuditRecord, Instance
from ...checkpointing.store.audit import Broken
from ...tools.canonical import JsonObject
from ...tools.errors import RunError
from .cases import CLOSING, Case
from .desk import Desk


class Teller(Protocol):
    """Reports what happens: on the screen, or as JSON lines."""

    def case(self, number: int, total: int, case: Case) -> None:
        """A case begins."""

    def resumed(self, instance: Instance) -> None:
        """It continues where an earlier process stopped."""

    def customer(self, case: Case, text: str) -> None:
        """The customer speaks."""

    def desk(self, text: str) -> None:
        """The model, or the application in its place, speaks."""

    def offered(self, state: str, tools: list[str]) -> None:
        """What the model was offered in a state."""

    def proposed(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """The model proposes a call."""

    def asked(self, request: JsonObject) -> None:
        """A person is asked about a call."""

    def decided(self, request: JsonObject, answer: JsonObject, by: str) -> None:
        """The person decided."""

    def outcome(self, event: JsonObject) -> None:
        """A read, a transition, or a denial."""

    def trail(self, case: Case, instance: Instance, records: list[AuditRecord], broken: list[Broken]) -> None:
        """The audit trail of a finished case, and its defects."""

    def end(self, desk: Desk) -> None:
        """Every case is finished."""


class Person(Protocol):
    """Who is asked."""

    def decide(self, request: JsonObject) -> JsonObject:
        """Answer a request, in one of the shapes that a graph is resumed with."""


@dataclass(frozen=True)
class Play:
    """One case at the desk."""

    desk: Desk
    case: Case
    teller: Teller
    person: Person | None
    """Answers requests; None if somebody answers elsewhere, and then the case is played until the first request."""

    def run(self) -> None:
        """Play the case from its current state to its end."""
        state = self._state()
        if state.values.get("workflow_id"):
            self.teller.resumed(self.desk.graph.instances.get(self.config))
        while True:
            if state.interrupts:
                if self.person is None:
                    return
                self._run_on(self._answer([interrupt.value for interrupt in state.interrupts], self.person))
            elif state.tasks:  # `next` omits a task that was done when the process died before its step ended
                self._run_on(None)
            else:
                said = sum(isinstance(message, HumanMessage) for message in state.values.get("messages", []))
                if said == len(self.case.turns) or self._is_finished:
                    return
                text = self.case.turns[said].says
                self.teller.customer(self.case, text)
                self._run_on({"messages": [("user", text)]})
                if (notice := CLOSING.get(self._state().values.get("state", ""))) is not None:
                    self.teller.desk(notice)
            state = self._state()

    @property
    def is_over(self) -> bool:
        """Whether nothing of the case is left."""
        state = self._state()
        said = sum(isinstance(message, HumanMessage) for message in state.values.get("messages", []))
        return not state.tasks and said == len(self.case.turns)

    @property
    def config(self) -> RunnableConfig:
        """What its thread runs with."""
        return {"configurable": {"thread_id": self.desk.thread(self.case)}}

    @property
    def _is_finished(self) -> bool:
        found = self.desk.graph.engine.store.find(self.desk.graph.instances.id_of(self.config))
        return found is not None and found.finished

    def _state(self) -> Any:
        return self.desk.graph.get_state(self.config)

    def _answer(self, requests: list[JsonObject], person: Person) -> Command[Any] | None:
        waiting = {
            approval.approval_id
            for approval in self.desk.graph.engine.store.pending_approvals(self.desk.graph.instances.id_of(self.config))
        }
        for request in requests:
            if request.get("type") not in {"approval", "confirmation"}:
                raise RunError(str(request.get("description", request)), code=str(request.get("code", "stopped")))
            if request["approvalId"] not in waiting:
                continue  # decided by a process that was killed before the graph resumed
            self.teller.asked(request)
            answer = person.decide(request)
            self.teller.decided(request, answer, self.case.principal.id)
            return Command(resume={request["approvalId"]: answer})
        return None

    def _run_on(self, given: Any) -> None:
        stream = self.desk.graph.stream(
            given, self.config, context=self.case.principal, stream_mode=["updates", "custom"]
        )
        for mode, chunk in stream:
            if mode == "custom":
                self._outcome(chunk)
            else:
                for update in chunk.values():
                    self._update(update)

    def _outcome(self, event: Any) -> None:
        if isinstance(event, Mapping) and event.get("type") in {
            "interlock.read",
            "interlock.transition",
            "interlock.denial",
        }:
            self.teller.outcome(dict(event))

    def _update(self, update: Any) -> None:
        for one in update if isinstance(update, list) else [update]:
            if not isinstance(one, Mapping):
                continue
            names = self.desk.graph.engine.definition.wire_names
            for message in _new_messages(one):
                if message.tool_calls:
                    self.teller.offered(one["state"], one["next_allowed_tools"])
                for tool_call in message.tool_calls:
                    tool = names.to_canonical(tool_call["name"]) or tool_call["name"]
                    self.teller.proposed(tool, tool_call["args"])
                if message.text:
                    self.teller.desk(message.text)


def _new_messages(update: Mapping[str, Any]) -> Iterator[AIMessage]:
    for message in update.get("messages", []):
        if isinstance(message, AIMessage):
            yield message


__all__ = ["Person", "Play", "Teller"]
