"""The channels of a compiled workflow: the conversation, what the run shows of the workflow row, and the graph's own progress."""

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.messages import AnyMessage
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
    workflow_id: Annotated[str, _latest]
    state: Annotated[str, _latest]
    revision: Annotated[int, _latest]
    data: Annotated[dict[str, Any], _latest]
    next_allowed_tools: Annotated[list[str], _latest]
    last_result: Annotated[dict[str, Any], _latest]
    initial_data: Annotated[dict[str, Any] | None, _latest]
    progress: Annotated[Ops, _advance]


class Started(Input, total=False):
    """What the compiled graph hands to its start: the input, and whose turn it is."""

    initial_data: Annotated[dict[str, Any] | None, _latest]
    progress: Annotated[Ops, _advance]


OWN_CHANNELS = frozenset(Channels.__annotations__) - {"messages"}
"""What only the nodes write; everything else would let a caller put words into the workflow's mouth."""
