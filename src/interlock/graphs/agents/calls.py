"""Signs the calls of an agent's message when the model makes them, so that tools run only the model's calls.

The signatures are in the message's response metadata, which is not sent to providers. A call that is changed afterwards, or a
message from elsewhere, has no valid signature.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from ...checkpointing.store import Instance
from ...commands.budgets.spending import Reserved
from ...rules.calls import all_calls
from ...tools.errors import PrincipalError
from ...tools.ids import derive
from ...tools.principal import Principal
from .messages import key_of

_CALL = "call"
"""The purpose of the signature of a call."""
_WORDS = "words"
"""The purpose of the signature over all messages except those of the model and of tools."""
Sign = Callable[[AIMessage], AIMessage]


@dataclass(frozen=True)
class SignedCall:
    """The signed facts of a call that the model made."""

    name: str
    arguments: Any
    key: str
    """Its idempotency key."""
    message_key: str
    requester: Principal
    """The principal of the turn."""
    offered: bool
    """Whether the model was offered its tool."""
    state: str
    revision: int
    before: Sequence[Any]
    """The earlier calls of the same message."""


@dataclass
class Offer:
    """The offer of one model call.

    Attributes:
        instance: The instance at the time of the call.
        requester: The principal of the turn.
        tools: The wire names of the workflow's tools.
        messages: The conversation so far.
        reserved: The reservations in the workflow's budgets.
    """

    instance: Instance
    requester: Principal
    tools: Collection[str]
    messages: Sequence[BaseMessage] = ()
    reserved: Reserved = field(default_factory=Reserved)

    def sign(self, message: AIMessage) -> AIMessage:
        """Sign the calls of a model's message."""
        calls = all_calls(message)
        if not calls:
            return message
        made = {
            "requester": self.requester.to_json(),
            "state": self.instance.state,
            "revision": self.instance.revision,
            "offered": sorted({str(call["name"]) for call in calls} & {*self.tools}),
        }
        key = key_of(message)
        marks = [
            self.instance.seal.mark(_CALL, *_parts(self.instance, {**made, "key": key}, calls, place, before))
            for place, before in enumerate(_digests(call["name"] for call in calls))
        ]
        metadata = {**message.response_metadata, _place_of(self.instance): {**made, "marks": marks}}
        signed = message.model_copy(update={"response_metadata": metadata})
        return with_words(signed, self.requester, self.messages, self.instance)


def signed_call(message: AIMessage, place: int, instance: Instance) -> SignedCall | None:
    """The signed facts of a message's call in this position; None without a valid signature of this instance."""
    noted, calls, key = message.response_metadata.get(_place_of(instance)), all_calls(message), key_of(message)
    if key is None or not isinstance(noted, Mapping):
        return None
    marks = noted.get("marks")
    if not isinstance(marks, list) or len(marks) != len(calls):
        return None
    made = {name: noted.get(name) for name in ("requester", "state", "revision", "offered")}
    before = _digest(call["name"] for call in calls[:place])
    if not instance.seal.fits(marks[place], _CALL, *_parts(instance, {**made, "key": key}, calls, place, before)):
        return None
    try:
        requester = Principal.from_json(made["requester"] or {})
    except PrincipalError:  # signed by another release
        return None
    call = calls[place]
    return SignedCall(
        name=str(call["name"]),
        arguments=call["args"],
        key=derive("key", key, place),
        message_key=key,
        requester=requester,
        offered=call["name"] in (made["offered"] or ()),
        state=str(made["state"]),
        revision=int(made["revision"] or 0),
        before=calls[:place],
    )


def with_words(
    message: AIMessage, requester: Principal, messages: Sequence[BaseMessage], instance: Instance
) -> AIMessage:
    """Add a signed digest of the messages in this principal's turn, from the time when the calls were made or taken up."""
    noted = message.response_metadata.get(_place_of(instance))
    told = {
        **(noted if isinstance(noted, Mapping) else {}),
        _WORDS: instance.seal.mark(_WORDS, *_words(message, requester, messages, instance)),
    }
    metadata = {**message.response_metadata, _place_of(instance): told}
    return message.model_copy(update={"response_metadata": metadata})


def is_turn_of(requester: Principal, messages: Sequence[BaseMessage], instance: Instance) -> bool:
    """Whether the last calls belong to this principal's turn, and no message was added since."""
    said = next((one for one in reversed(messages) if isinstance(one, AIMessage)), None)
    noted = None if said is None else said.response_metadata.get(_place_of(instance))
    if said is None or not isinstance(noted, Mapping):
        return False
    return instance.seal.fits(noted.get(_WORDS), _WORDS, *_words(said, requester, messages, instance))


def _words(message: AIMessage, requester: Principal, messages: Sequence[BaseMessage], instance: Instance) -> list[Any]:
    words = [[one.type, str(one.content)] for one in messages if not isinstance(one, (AIMessage, ToolMessage))]
    return [instance.workflow_id, key_of(message), requester.to_json(), words]


def _parts(instance: Instance, made: Mapping[str, Any], calls: Sequence[Any], place: int, before: str) -> list[Any]:
    call = calls[place]
    return [instance.workflow_id, dict(made), place, len(calls), before, call["name"], call["args"], call["id"]]


def _digests(names: Iterable[object]) -> Iterator[str]:
    """For each call, the digest of the preceding names, computed in one pass."""
    so_far = hashlib.sha256()
    for name in names:
        yield so_far.hexdigest()
        so_far.update(_framed(name))


def _digest(names: Iterable[object]) -> str:
    return hashlib.sha256(b"".join(map(_framed, names))).hexdigest()


def _framed(name: object) -> bytes:
    # With its length, so that different lists of names never collide; a name may be any text of the model.
    text = str(name).encode("utf-8", "surrogatepass")
    return b"%d:%s" % (len(text), text)


def _place_of(instance: Instance) -> str:
    return f"interlock:{instance.workflow}"


__all__ = ["Offer", "Sign", "SignedCall", "is_turn_of", "signed_call", "with_words"]
