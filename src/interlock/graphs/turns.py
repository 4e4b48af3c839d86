"""The start of a turn: validates the input against the workflow row before LangGraph writes anything.

LangGraph checkpoints an input before the first node sees it. An input refused there would already be in the conversation, so it is
refused here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import BaseModel

from ..checkpointing.store import Instance
from ..commands.approvals.hearing import hear
from ..commands.instances.starting import initial_data
from ..commands.origins.capturing import is_kept, keep_words, texts_of
from ..commands.origins.given import is_checkpointed, said_in_this_run
from ..commands.running.access import Access, meant
from ..commands.running.checkpoint_lookup import Saved
from ..commands.running.engine import Engine
from ..commands.running.proposing import take_turn
from ..commands.running.scope import DURABILITY, THREAD_ID, is_nested, is_resumed_by_parent
from ..nodes.channels import Channels, Input
from ..nodes.execution import CHECKPOINT_SECONDS
from ..tools.canonical import JsonObject
from ..tools.errors import InvalidInput, MissingThreadId, WorkflowFinished
from ..tools.principal import Principal

KNOWN = frozenset(Channels.__annotations__) | frozenset(Input.__annotations__)


@dataclass(frozen=True)
class Turn:
    """One input of one run.

    Args:
        engine: The workflow.
        configurable: The `configurable` of the run.
        principal: The principal of the turn.
        entered: The instance, as found when the run was admitted.
        saver: The run's checkpointer.
    """

    engine: Engine
    configurable: Mapping[str, Any]
    principal: Principal
    entered: Access
    saver: Saved | None = None

    def begin(self, given: Any) -> Any:
        """The input for the start node: with the principal of the turn, and without the channels that only nodes may write.

        Raises:
            InputError: It cannot be used. Nothing was written.
            WorkflowFinished: The instance is in a final state.
        """
        name = self.engine.definition.name
        if not is_nested(self.configurable) and self.configurable.get(THREAD_ID) in {None, ""}:
            raise MissingThreadId(
                f"The workflow {name} was run without a thread. Nothing was done. "
                'Pass a config such as {"configurable": {"thread_id": "t-1"}}.'
            )
        if given is None:
            return None
        values = self._values(given)
        started: dict[str, Any] = {
            "messages": _messages(values.get("messages")),
            "progress": [("turn", self.principal.to_json())],
        }
        data = _data(values.get("data"))
        # A resumed parent passes the same input again, which must not be used twice.
        if not is_resumed_by_parent(self.configurable):
            self._check(data)
        self._keep_words(started["messages"])
        # What a parent graph hands in may be a summary that its own model wrote.
        if not is_nested(self.configurable) and self.entered.instance is not None:
            thread = self.configurable.get(THREAD_ID)
            asked = hear(self.engine, self.entered.instance, self.principal, started["messages"], thread_id=thread)
            started["messages"] = [*asked, *started["messages"]]
        if data is not None:
            started["initial_data"] = data
        return started

    def _keep_words(self, messages: Sequence[BaseMessage]) -> None:
        if not is_kept(self.engine.definition, self.principal):
            return
        # What a parent graph hands in may be a summary that its own model wrote.
        texts = self._texts_around() if is_nested(self.configurable) else texts_of(messages)
        if texts:
            with self.engine.store.write() as connection:
                keep_words(self.engine, connection, self.entered.workflow_id, self.principal, texts)

    def _texts_around(self) -> list[str]:
        """The texts in the input of the outermost run; none if its checkpoint is not stored in time."""
        if self.configurable.get(DURABILITY) == "exit":
            return []
        self.engine.store.wait_until(partial(is_checkpointed, self.saver, self.configurable), CHECKPOINT_SECONDS)
        return said_in_this_run(self.saver, self.configurable)

    def _values(self, given: Any) -> Mapping[str, Any]:
        name = self.engine.definition.name
        if isinstance(given, BaseModel) or (is_dataclass(given) and not isinstance(given, type)):
            return {key: getattr(given, key) for key in Input.__annotations__ if hasattr(given, key)}
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"The workflow {name} was given {type(given).__name__} as its input. Nothing was done; give "
                '{"messages": [...]}, and {"data": {...}} when it starts.'
            )
        unknown = sorted(str(key) for key in given if key not in KNOWN)
        if unknown and not is_nested(self.configurable):
            raise InvalidInput(
                f"The workflow {name} was given {', '.join(unknown)} in its input, which it does not know. Nothing was "
                'done; give {"messages": [...]}, and {"data": {...}} when it starts.'
            )
        return given

    def _check(self, data: Mapping[str, Any] | None) -> None:
        name = self.engine.definition.name
        workflow_id, instance = self.entered.workflow_id, self.entered.instance
        if instance is None:
            meant(self.engine, self.configurable)
            initial_data(self.engine, data)
            return
        if instance.finished:
            raise WorkflowFinished(
                f"The workflow {workflow_id} is over: it ended in {instance.state!r}. Nothing was done, and the message was not kept. "
                "Start a new one with another thread_id (or workflow_id).",
                details={"workflowId": workflow_id, "state": instance.state},
            )
        if data and not self._same(data, instance):
            raise InvalidInput(
                f"The workflow {workflow_id} of {name} has started, and data can only be passed at the "
                "start. Nothing was done; omit `data` from the input, and change data through tools.",
                details={"workflowId": workflow_id},
            )
        take_turn(self.engine.store, instance, self.principal)

    def _same(self, data: Mapping[str, Any], instance: Instance) -> bool:
        # A parent graph that shares the channel passes back the workflow's own output in every turn.
        try:
            given: JsonObject = initial_data(self.engine, data)
        except InvalidInput:
            return False
        return given == instance.data


def _messages(given: Any) -> list[BaseMessage]:
    if given is None:
        return []
    try:
        return convert_to_messages(given if isinstance(given, list) else [given])
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:
        raise InvalidInput(
            f"The input's messages cannot be read: {type(error).__name__}. Nothing was done; give a list of messages, such as "
            '[("user", "hello")] or [{"role": "user", "content": "hello"}].'
        ) from error


def _data(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, BaseModel):
        return given.model_dump(mode="json")
    if not isinstance(given, Mapping):
        raise InvalidInput(
            f"The input's data is {type(given).__name__}; give a mapping or an instance of the workflow's data model. Nothing was done."
        )
    return dict(given)


__all__ = ["Turn"]
