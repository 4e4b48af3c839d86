"""Stores a person's messages and tools' outputs as keyed hashes, in the transaction of the turn, read or command."""

import base64
import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

from langchain_core.messages import BaseMessage, HumanMessage
from sqlalchemy.engine import Connection

from ...checkpointing import sources as source_rows
from ...checkpointing.sources import Source, SourceKind
from ...checkpointing.store import Instance, Unit
from ...rules.definition import Definition
from ...rules.origins.holding import Fields, Hashed, Held, Word, of_output, of_words
from ...rules.origins.index import Index, Named, Origin
from ...rules.origins.policy import TrustedOrigins
from ...rules.origins.tracing import traced
from ...tools.canonical import JSON, canonical_json, digest
from ...tools.contracts import ToolContract
from ...tools.ids import derive, mint
from ...tools.origins.contracts import output_fields
from ...tools.principal import Principal
from ..execution.attempts import Admitted
from ..running.engine import Engine

MOST_SOURCES = 500
"""The maximum number of stored sources per instance; values of later ones are untrusted."""
LONGEST = 1_000_000
"""The maximum length of a source, in characters; the values of a longer one are untrusted."""


def traces(definition: Definition) -> bool:
    """Whether a policy of the workflow traces arguments to their sources."""
    return any(isinstance(policy, TrustedOrigins) for policy in definition.policies)


@dataclass(frozen=True)
class Sources:
    """The sources of one instance in this transaction."""

    connection: Connection
    instance: Instance

    @cached_property
    def marks(self) -> dict[str, int]:
        """The ids of all sources of the instance, oldest first, each with its time."""
        return source_rows.marks(self.connection, self.instance.workflow_id)

    @cached_property
    def salt(self) -> str:
        """The key of the instance's hashes: that of its first source."""
        return self._known.salt if self.marks else source_rows.new_salt()

    def index(self) -> Index:
        """The index of trusted values: only sources with the first source's key, of this tenant, and from the person served."""
        return self._known.index if self.marks else Index((), hashed_with(source_rows.new_salt()))

    @cached_property
    def _known(self) -> "_Known":
        served = self.instance.started_by.id if self.instance.served is None else self.instance.served
        key = self.instance.workflow_id, self.instance.tenant, served
        return _remembered.known(key, self.marks, self._read)

    def _read(self, wanted: Mapping[str, int]) -> list[Source]:
        return source_rows.read(self.connection, self.instance.workflow_id, wanted)


@dataclass(frozen=True)
class _Known:
    """The cached index of one instance's sources."""

    ids: frozenset[str]
    """The sources in the index."""
    salt: str
    index: Index


class _Remembered:
    """A cache of the indexes of recent instances, so that each source is read only once.

    Sources never change, and ids are never reused. A source that was rolled back or erased is missing from the current ids, and then
    the index is rebuilt.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    def known(
        self,
        key: tuple[str, str, str],
        marks: Mapping[str, int],
        read: Callable[[Mapping[str, int]], Sequence[Source]],
    ) -> _Known:
        """The index of an instance's sources, extended by new ones.

        Args:
            key: The instance, its tenant and the person served.
            marks: The ids of the current sources, each with its time.
            read: Reads some of them, oldest first.
        """
        with self._lock:
            known = self._known.pop(key, None)
        if known is not None and not known.ids <= marks.keys():
            known = None
        ids: frozenset[str] = frozenset() if known is None else known.ids
        # Usually nothing is new; then do not iterate over the sources, of which there may be hundreds.
        missing = {} if len(ids) == len(marks) else {one: at for one, at in marks.items() if one not in ids}
        new = read(missing) if missing else []
        if known is None:
            salt = new[0].salt if new else source_rows.new_salt()
            known = _Known(frozenset(), salt, Index((), hashed_with(salt)))
        _, tenant, served = key
        counted = [
            one
            for one in new
            if one.salt == known.salt and one.tenant == tenant and (one.kind is SourceKind.OUTPUT or one.name == served)
        ]
        known.index.add((Held.from_json(json.loads(one.held)) for one in counted), [_named(one) for one in counted])
        known = replace(known, ids=frozenset(marks))
        with self._lock:
            # A transaction that asks meanwhile builds its own index. An index in use may grow, because a trusted value stays trusted.
            self._known[key] = known
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    def clear(self) -> None:
        """Clear the cache."""
        with self._lock:
            self._known.clear()


def _named(source: Source) -> Named:
    return Named(source.kind.value, source.name, source.audit_ref, source.kept_at)


_REMEMBERED = 64
_remembered = _Remembered()


def forget() -> None:
    """Clear this process's cache of indexes, as in a new process."""
    _remembered.clear()


def hashed_with(salt: str) -> Hashed:
    """The keyed hash of an instance's sources: HMAC-SHA256, not truncated."""
    key = hmac.new(bytes.fromhex(salt), digestmod=hashlib.sha256)

    def hashed(text: str) -> str:
        made = key.copy()
        made.update(text.encode("utf-8", errors="surrogatepass"))
        return base64.urlsafe_b64encode(made.digest()).rstrip(b"=").decode("ascii")

    return hashed


def texts_of(messages: Iterable[BaseMessage]) -> list[str]:
    """The texts of a person in the messages of an input."""
    return [message.text for message in messages if isinstance(message, HumanMessage) and message.text.strip()]


def keep_words(
    engine: Engine, connection: Connection, workflow_id: str, principal: Principal, texts: Sequence[str]
) -> None:
    """Store the texts of a person at the start of a turn, in a write transaction.

    They count only if the instance, which may not exist yet, serves this principal.

    Args:
        engine: The workflow.
        connection: The connection.
        workflow_id: The instance.
        principal: The principal of the turn.
        texts: Their texts.
    """
    if not texts or not is_kept(engine.definition, principal):
        return
    first = source_rows.first(connection, workflow_id)
    salt = source_rows.new_salt() if first is None else first.salt
    held = _joined([of_words(text, hashed_with(salt)) for text in texts], hashed_with(salt))
    source = Source(
        workflow_id=workflow_id,
        source_id=mint("src"),
        tenant=principal.tenant,
        kind=SourceKind.WORDS,
        name=principal.id,
        audit_ref=None,
        salt=salt,
        held=canonical_json(held.to_json()),
        kept_at=engine.store.now(connection, read=None if first is None else first.now),
    )
    _keep(connection, source, 0 if first is None else first.number)


def is_kept(definition: Definition, principal: Principal) -> bool:
    """Whether a principal's texts are stored: the workflow traces arguments, and the principal is not anonymous."""
    return traces(definition) and principal.is_known


def copy_sources(connection: Connection, definition: Definition, workflow_id: str, copy: str) -> None:
    """Copy the sources of an instance to a fork that serves the same person.

    Args:
        connection: In a write transaction.
        definition: The workflow.
        workflow_id: The instance.
        copy: The fork.
    """
    if traces(definition):
        for source in source_rows.read(connection, workflow_id, source_rows.marks(connection, workflow_id)):
            source_rows.insert(connection, replace(source, workflow_id=copy))


def keep_output(unit: Unit, definition: Definition, ready: Admitted, output: JSON) -> None:
    """Store the trusted values of a tool's output, in the transaction that records it.

    Args:
        unit: The instance.
        definition: The workflow.
        ready: The attempt.
        output: The output in wire form.
    """
    contract = ready.contract
    if not traces(definition):
        return
    fields = _fields_of(contract)
    if not fields.may_be_trusted and not contract.sensitive:
        return
    instance = unit.instance
    sources = Sources(unit.connection, instance)
    salt = sources.salt
    origins = [one.origin for one in traced(contract, ready.admission.canonical, sources.index(), whole=True)]
    is_traced = Origin.NOWHERE not in origins
    is_named = is_traced and Origin.LISTED not in origins and not {*origins}.isdisjoint({Origin.USER, Origin.RECORD})
    held = of_output(
        output,
        fields,
        hashed_with(salt),
        sensitive=contract.sensitive,
        is_traced=is_traced,
        is_selected=is_named,
    )
    if not held.records.sizes and not held.secrets:
        return
    text = canonical_json(held.to_json())
    source = Source(
        workflow_id=instance.workflow_id,
        source_id=derive("src", instance.workflow_id, contract.name, digest(text)),
        tenant=instance.tenant,
        kind=SourceKind.OUTPUT,
        name=contract.name,
        audit_ref=ready.context.audit_ref,
        salt=salt,
        held=text,
        kept_at=unit.now,
    )
    if source.source_id not in sources.marks:  # an identical earlier output is stored only once
        _keep(unit.connection, source, len(sources.marks))


def _fields_of(contract: ToolContract) -> Fields:
    found = _fields.get(contract)
    if found is None:
        found = _fields[contract] = Fields(output_fields(contract))
    return found


_fields: WeakKeyDictionary[ToolContract, Fields] = WeakKeyDictionary()


def _joined(parts: Sequence[Held], hashed: Hashed) -> Held:
    """Join the messages of one turn with a separator that no value matches."""
    between = Word(*[hashed("between")] * 3)
    said = [word for part in parts for word in (*part.said, between)]
    return Held(tuple(said), frozenset().union(*(part.numbers for part in parts)))


def _keep(connection: Connection, source: Source, number: int) -> None:
    if number < MOST_SOURCES and len(source.held) <= LONGEST:
        source_rows.insert(connection, source)


__all__ = ["Sources", "copy_sources", "forget", "is_kept", "keep_output", "keep_words", "texts_of", "traces"]
