"""The undo of an executed command: another command, and how its arguments are derived from the executed call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..canonical import JSON, JsonObject
from ..errors import ContractError
from ..kinds import ToolKind
from ..redaction import MASK
from ..wire import camel
from .contract import ToolContract
from .yes_or_no import is_deferred


@dataclass(frozen=True)
class CompletedCall:
    """An executed call, as the ledger recorded it."""

    tool: str
    """Its canonical name."""
    arguments: Mapping[str, Any]
    """The arguments as JSON data, by the names of the tool's parameters. Sensitive arguments are missing: the ledger does not have them."""
    output: Any
    """The output as JSON data, as on the wire."""
    idempotency_key: str
    """The idempotency key of the call, by which an outside system may know it."""


Arguments = Callable[[CompletedCall], Mapping[str, Any]]


@dataclass(frozen=True)
class Undo:
    """A command that undoes another one, such as `undo=Undo(refund, lambda done: {"payment": done.output["id"]})`.

    Attributes:
        command: The command that undoes it.
        arguments: Returns the arguments for undoing a given call. By default each argument is the value of the same name from the arguments
            of that call, or from its output.
    """

    command: ToolContract
    arguments: Arguments | None = None

    def arguments_for(self, done: CompletedCall) -> JsonObject:
        """Return the arguments with which a call is undone.

        Raises:
            InvalidArguments: The arguments do not fit the command.
            Exception: Whatever the application's function raises.
        """
        given = self._by_name(done) if self.arguments is None else dict(self.arguments(done))
        return self.command.bind(given).canonical

    def _by_name(self, done: CompletedCall) -> dict[str, Any]:
        output = done.output if isinstance(done.output, Mapping) else {}
        known = {camel(name): value for name, value in done.arguments.items()}
        wanted: Any = self.command.input_schema().get("properties", {})
        found = {}
        for name in wanted:
            for source in (done.arguments, known, output):
                if name in source:
                    found[name] = source[name]
                    break
        return found


NOTHING: Literal[False] = False
"""A value of `undo=`: nothing has to be undone."""
Undoes = Undo | Literal[False] | None
"""The undo of a command; False if nothing has to be undone; None if it is not specified, and then a person is notified."""


def undo_of(given: object, place: str) -> Undoes:
    """Parse the value of `undo=`.

    Raises:
        ContractError: It is not a command.
    """
    found = Undo(given) if isinstance(given, ToolContract) else given
    if found is None or found is False:
        return found
    if not isinstance(found, Undo) or not isinstance(found.command, ToolContract):
        raise ContractError(
            f"{place} has undo={given!r}; give the command that undoes it, Undo(command, arguments), or False where nothing has to be undone."
        )
    if found.arguments is not None and (not callable(found.arguments) or is_deferred(found.arguments)):
        raise ContractError(
            f"{place} has undo=Undo({found.command.name}, {found.arguments!r}); give a plain function, neither async nor a generator, that takes "
            "the call that was carried out and returns the arguments."
        )
    if found.command.kind is ToolKind.READ:
        raise ContractError(
            f"{place} has undo={found.command.name}, which is a read and changes nothing; give a command."
        )
    if found.command.decision_fields:
        raise ContractError(
            f"{place} has undo={found.command.name}, of which only a person who decides states something; nobody decides on an undo."
        )
    return found


def completed_call(contract: ToolContract, arguments: JsonObject, output: JSON, key: str) -> CompletedCall:
    """A call in the form for `Undo.arguments`.

    Args:
        contract: The contract of the called tool.
        arguments: The arguments in the ledger.
        output: The output of the call.
        key: The idempotency key of the call.
    """
    model = contract.input_model
    parameters = {camel(name): name for name in ({} if model is None else model.model_fields)}
    plain = {parameters.get(name, name): value for name, value in arguments.items() if name not in contract.sensitive}
    return CompletedCall(contract.name, plain, output, key)


def is_masked(value: JSON) -> bool:
    """Whether some arguments were sensitive, so that their values are unknown."""
    match value:
        case Mapping():
            return any(is_masked(one) for one in value.values())
        case list():
            return any(map(is_masked, value))
        case _:
            return value == MASK


__all__ = ["NOTHING", "CompletedCall", "Undo", "Undoes", "completed_call", "is_masked", "undo_of"]
