"""The channels of a compiled workflow: the conversation, what the run shows of the workflow row, and the graph's own progress."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from langchain_core.messages import AnyMessage
from langgraph.channels.binop import MISSING, BinaryOperatorAggregate  # type: ignore[attr-defined]
from typing_extensions import TypedDict  # pydantic makes no JSON Schema of typing's before Python 3.12

from ..rules.proposals import advance
from .conversation import join

Ops = list[Any]


def _advance(progress: Any, ops: Any) -> Any:
    # The channel starts as an empty list, the type that LangGraph makes of the annotation.
    return advance(progress or None, ops)


def _latest(_old: Any, new: Any) -> Any:
    # Parallel reads each report the same row; the last report stands.
    return new


class Latest(BinaryOperatorAggregate[Any]):
    """Has the last value that was written in a superstep.

    What LangGraph makes of a reducer that gives its second argument, with less around it: most channels of a workflow are such, and
    each is recreated in every run and asked in every superstep.
    """

    __slots__ = ()

    def __init__(self, typ: Any) -> None:
        super().__init__(typ, _latest)

    def copy(self) -> Self:
        """Another one with this value."""
        return self._with(self.value)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """Another one with the value of a checkpoint, or with none."""
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
"""What a dictionary has that may stand for LangGraph's `Overwrite`: that is for its own channel."""


class Input(TypedDict, total=False):
    """What a run is given."""

    messages: Annotated[Sequence[AnyMessage], join]
    data: dict[str, Any]
    """The workflow's data, when the run starts an instance."""


class Output(TypedDict, total=False):
    """What a run answers with; all but the messages is a picture of the workflow row."""

    messages: Annotated[Sequence[AnyMessage], join]
    workflow_id: str
    state: str
    revision: int
    data: dict[str, Any]
    next_allowed_tools: list[str]
    """Canonical names of what may be called now."""
    last_result: dict[str, Any]
    """The last command result or error, as on the wire."""


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
    """What the compiled graph hands to its start: the input, and whose turn it is."""

    initial_data: Annotated[dict[str, Any] | None, Latest]
    progress: Annotated[Ops, _advance]


OWN_CHANNELS = frozenset(Channels.__annotations__) - {"messages"}
"""What only the nodes write; everything else would let a caller put words into the workflow's mouth."""
