"""The channels of a compiled workflow: the conversation, a copy of the workflow row, and the graph's own progress."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from langchain_core.messages import AnyMessage
from langgraph.channels.binop import MISSING, BinaryOperatorAggregate  # type: ignore[attr-defined]
from typing_extensions import TypedDict  # before Python 3.12, pydantic rejects typing.TypedDict

from ..rules.proposals import advance
from .conversation import join

Ops = list[Any]


def _advance(progress: Any, ops: Any) -> Any:
    # The channel starts as an empty list, because LangGraph creates the annotated type.
    return advance(progress or None, ops)


def _latest(_old: Any, new: Any) -> Any:
    # Parallel reads each report the same row; the last report wins.
    return new


class Latest(BinaryOperatorAggregate[Any]):
    """A channel that keeps the last value written in a superstep.

    It behaves like LangGraph's channel with a reducer that returns its second argument, with less overhead: most channels of a
    workflow are of this kind, every run creates them, and every superstep reads them.
    """

    __slots__ = ()

    def __init__(self, typ: Any) -> None:
        super().__init__(typ, _latest)

    def copy(self) -> Self:
        """A new channel with this value."""
        return self._with(self.value)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """A new channel with the value of a checkpoint, or empty."""
        if checkpoint is MISSING:
            return self._with(self.value if self.value is MISSING else type(self.value)())
        return self._with(checkpoint)

    def update(self, values: Sequence[Any]) -> bool:
        """Take the last value."""
        if not values:
            return False
        value = values[-1]
        if len(values) == 1 and type(value) in _PLAIN and not (type(value) is dict and not _SIGNS.isdisjoint(value)):
            self.value = value
            return True
        return super().update(values)

    def _with(self, value: Any) -> Self:
        twin = self.__class__.__new__(self.__class__)
        twin.typ, twin.key, twin.operator, twin.value = self.typ, self.key, self.operator, value
        return twin


_PLAIN = frozenset({str, int, list, dict, type(None)})
_SIGNS = frozenset({"__overwrite__", "type"})
"""Keys of dictionaries that may represent LangGraph's `Overwrite`, which only LangGraph's own channel handles."""


class Input(TypedDict, total=False):
    """The input of a run."""

    messages: Annotated[Sequence[AnyMessage], join]
    data: dict[str, Any]
    """The workflow's data, if the run starts an instance."""


class Output(TypedDict, total=False):
    """The output of a run; everything except the messages is a copy of the workflow row."""

    messages: Annotated[Sequence[AnyMessage], join]
    workflow_id: str
    state: str
    revision: int
    data: dict[str, Any]
    next_allowed_tools: list[str]
    """Canonical names of the next allowed tools."""
    last_result: dict[str, Any]
    """The last command result or error, in wire form."""


class Channels(TypedDict, total=False):
    """Every channel of the graph."""

    messages: Annotated[Sequence[AnyMessage], join]
    workflow_id: Annotated[str, Latest]
    state: Annotated[str, Latest]
    revision: Annotated[int, Latest]
    data: Annotated[dict[str, Any], Latest]
    next_allowed_tools: Annotated[list[str], Latest]
    last_result: Annotated[dict[str, Any], Latest]
    initial_data: Annotated[dict[str, Any] | None, Latest]
    progress: Annotated[Ops, _advance]


class Started(Input, total=False):
    """The input of the start node: the run's input, and the principal whose turn it is."""

    initial_data: Annotated[dict[str, Any] | None, Latest]
    progress: Annotated[Ops, _advance]


OWN_CHANNELS = frozenset(Channels.__annotations__) - {"messages"}
"""The channels that only nodes may write, so that no caller can forge the workflow's state."""
