"""The facts that a view of an instance looks up lazily: the time, and the executed calls."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

from pydantic_core import to_jsonable_python
from sqlalchemy.engine import Connection

from ...checkpointing.store import Unit, WorkflowStore
from ...checkpointing.store import ledger as ledger_rows
from ...rules.definition import Definition
from ...rules.ordering import arguments_on_record, camel_or
from ...tools.canonical import JsonObject, canonical_json, same_json
from ...tools.contracts import ToolContract
from ...tools.contracts.iterators import read_out
from ...tools.errors import ContextError
from .operations import Look, Steps

T = TypeVar("T")


class StoredFacts:
    """The facts about one instance in the store.

    Args:
        store: The store.
        definition: The workflow, which has the tools.
        workflow_id: The instance.
        at: The unit or connection whose transaction is used; None for a separate transaction.
    """

    def __init__(
        self, store: WorkflowStore, definition: Definition, workflow_id: str, at: Unit | Connection | None
    ) -> None:
        self._store = store
        self._definition = definition
        self._workflow_id = workflow_id
        self._at = at
        self._known: dict[tuple[str, str], int] = {}

    def now(self) -> int:
        """Microseconds since 1970 UTC; it does not change after the first call."""
        return self._now

    @cached_property
    def _now(self) -> int:
        return self._at.now if isinstance(self._at, Unit) else self._looked(self._store.now)

    def carried_out(self, tool: str, arguments: Mapping[str, object]) -> int:
        """How often a tool was executed with these argument values, including what this transaction is about to write.

        Raises:
            ContextError: The workflow has no such tool, or the tool no such argument; or the argument is sensitive, so it is not recorded.
        """
        contract = self._definition.contracts.get(tool)
        if contract is None:
            raise ContextError(
                f"view.carried_out was asked about {tool!r}, which is not a tool of the workflow {self._definition.name}; it has "
                f"{', '.join(sorted(self._definition.contracts))}."
            )
        wanted = wanted_of(contract, arguments)
        asked = (tool, canonical_json(wanted))
        if asked not in self._known:
            now = self._at.completing if isinstance(self._at, Unit) else None
            is_it = now is not None and now[0] == tool and has(now[1], wanted)
            self._known[asked] = self._looked(lambda connection: self._stored(connection, tool, wanted)) + is_it
        return self._known[asked]

    def _stored(self, connection: Connection, tool: str, wanted: JsonObject) -> int:
        if not wanted:
            return ledger_rows.carried_out(connection, self._workflow_id).get(tool, 0)
        found = ledger_rows.completed_with(connection, self._workflow_id, tool, wanted)
        return sum(has(one, wanted) for one in found)

    def _looked(self, work: Callable[[Connection], T]) -> T:
        at = self._at
        if at is not None:
            return work(at.connection if isinstance(at, Unit) else at)
        with self._store.read() as connection:
            return work(connection)


def wanted_of(contract: ToolContract, arguments: Mapping[str, object]) -> JsonObject:
    """Argument values in the form of the ledger, by their names on the wire.

    Raises:
        ContextError: The tool has no such argument, or it is sensitive.
    """
    known = arguments_on_record(contract)
    wanted: JsonObject = {}
    for name, value in arguments.items():
        wire = camel_or(name, known)
        if wire not in known:
            raise ContextError(
                f"view.carried_out was asked about {name!r} of {contract.name}, which takes {', '.join(known) or 'nothing'}."
            )
        if wire in contract.sensitive:
            raise ContextError(
                f"view.carried_out was asked about {name!r} of {contract.name}, which is sensitive: the ledger does not have it."
            )
        wanted[wire] = to_jsonable_python(read_out(value))
    return wanted


def has(arguments: JsonObject, wanted: JsonObject) -> bool:
    """Whether arguments have all of these values in the ledger's form, where 1.0 is 1; a missing argument counts as null."""
    return all(same_json(arguments.get(name), value) for name, value in wanted.items())


def asked_apart(definition: Definition, work: Callable[[], T]) -> Steps[T]:
    """Evaluate rules of a workflow outside the event loop if one of them may query the database."""
    if not definition.looks_up:
        return work()
    done: T = yield Look(work)
    return done


__all__ = ["StoredFacts", "asked_apart", "has", "wanted_of"]
