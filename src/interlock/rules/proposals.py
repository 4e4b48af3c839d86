"""Proposals: the tool calls of a message that wait for a decision, and their channel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from ..tools.canonical import JsonObject
from ..tools.frozen import changed
from ..tools.ids import derive
from ..tools.principal import Principal
from ..tools.trace_reference import current_trace
from ..tools.wire import WireNames
from .calls import problem_of
from .keepable import said_by

PROPOSAL = "proposal"
"""The purpose of the signature of a proposal."""


@dataclass(frozen=True)
class Proposal:
    """One tool call that a model made.

    Attributes:
        key: The idempotency key, derived from the reasoning task and the call's position in the message, never from the provider's id.
        message_key: The key of the message, which all its proposals share.
        tool: The canonical name; or the name that the model used, if no tool has that name.
        arguments: The arguments as the model gave them, not yet checked.
        problem: A problem of the call itself, such as arguments that are not JSON.
        trace: The traced run in which the call was made; a decision on it is reported to that run.
        call_id: The id that the answer refers to.
        requester: The principal whose run proposed it.
        offered: Whether the tool was among the next allowed tools when it was proposed.
        state: The state in which it was proposed.
        revision: The revision at which it was proposed.
        mark: The instance's signature of all this, while it waits in a channel.
        is_decided: Whether a person decided on these arguments, so that they may hold parameters that only the decider fills in.
        is_claim: Whether it was read from plain data; it then needs a valid signature to be trusted.
        undoes: The key of the call that it undoes, if a cancel makes it; never read from plain data.
    """

    key: str
    message_key: str
    tool: str
    arguments: JsonObject
    call_id: str
    requester: Principal
    offered: bool
    state: str
    revision: int
    problem: str | None = None
    trace: JsonObject | None = None
    mark: str | None = None
    is_decided: bool = False
    is_claim: bool = False
    undoes: str | None = None

    def changed(self, **changes: Any) -> "Proposal":
        """A copy with other values in some fields."""
        return changed(self, **changes)

    def to_json(self) -> JsonObject:
        """The proposal as plain data, for a channel."""
        values = dict(self.__dict__)
        del values["is_claim"], values["is_decided"], values["undoes"]
        values["requester"] = self.requester.to_json()
        return values

    def signed(self) -> JsonObject:
        """The signed content: the whole proposal, as plain data."""
        values = self.to_json()
        del values["mark"]
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Proposal":
        """Parse what `to_json` returned."""
        values = {**data, "is_claim": True, "is_decided": False, "undoes": None}
        values["requester"] = Principal.from_json(values["requester"])
        return cls(**values)


def proposals_of(
    message: AIMessage,
    *,
    message_key: str,
    names: WireNames,
    offered: Iterable[str],
    requester: Principal,
    state: str,
    revision: int,
) -> list[Proposal]:
    """Read the proposals out of a (repaired) message, in their order; calls that could not be read come last."""
    allowed = frozenset(offered)
    calls: list[tuple[str, Any, str, str | None]] = [
        (call["name"], call["args"], cast("str", call["id"]), None) for call in message.tool_calls
    ]
    calls += [
        (broken.get("name") or "", said_by(broken), cast("str", broken["id"]), problem_of(broken))
        for broken in message.invalid_tool_calls
    ]
    found = []
    for index, (wire, arguments, call_id, problem) in enumerate(calls):
        tool = names.to_canonical(wire) or wire
        found.append(
            Proposal(
                key=derive("key", message_key, index),
                message_key=message_key,
                tool=tool,
                arguments=arguments,
                call_id=call_id,
                requester=requester,
                offered=tool in allowed,
                state=state,
                revision=revision,
                problem=problem,
                trace=current_trace.get(),
            )
        )
    return found


class Progress(TypedDict, total=False):
    """The state that the graph keeps between nodes; the workflow store has the rest."""

    pending: list[JsonObject]
    """The waiting proposals in order."""
    settled: list[str]
    """The keys of the proposals whose approval is settled."""
    denials: int
    """The number of consecutive denials and refusals."""
    calls: int
    """The number of model calls in this turn."""
    requester: JsonObject
    """The principal of the turn."""
    head: str | None
    """The root checkpoint of the last command on this line of history."""
    workflow_id: str


Op = tuple[Literal["turn", "propose", "done", "settle", "reset"], Any]
"""A change of the progress. Nodes of one step return operations, so that their changes merge and do not overwrite each other."""


def advance(progress: Progress | None, ops: Sequence[Sequence[Any]]) -> Progress:
    """Apply operations to the progress: the reducer of its channel."""
    new: Progress = dict(progress or {})  # type: ignore[assignment]
    for op in ops:
        match op[0]:
            case "turn":
                new["requester"], new["calls"], new["denials"] = op[1], 0, 0
            case "propose":
                new["pending"] = [*new.get("pending", []), *op[1]["proposals"]]
                new["denials"] = new.get("denials", 0) + op[1].get("denied", 0)
                new["calls"] = new.get("calls", 0) + 1
                new["workflow_id"] = op[1]["workflow_id"]
            case "settle":
                new["settled"] = [*new.get("settled", []), op[1]]
            case "done":
                outcome = op[1]
                key = outcome["key"]
                new["pending"] = [item for item in new.get("pending", []) if item["key"] != key]
                new["settled"] = [item for item in new.get("settled", []) if item != key]
                new["denials"] = 0 if outcome["ok"] else new.get("denials", 0) + 1
                if outcome.get("head") is not None:
                    new["head"] = outcome["head"]
            case "reset":
                new["calls"], new["denials"] = 0, 0
            case _:
                raise ValueError(f"not an operation on the progress of a workflow: {op[0]!r}")
    return new


def pending_of(progress: Progress | None) -> list[Proposal]:
    """The waiting proposals in order."""
    return [Proposal.from_json(item) for item in (progress or {}).get("pending", [])]


def with_arguments(proposal: Proposal, arguments: JsonObject) -> Proposal:
    """The same proposal with arguments that a person edited."""
    return proposal.changed(arguments=arguments)
