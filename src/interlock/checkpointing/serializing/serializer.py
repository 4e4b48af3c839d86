"""The default serializer of the checkpointer, compatible with LangGraph's: values come back unchanged, or are refused."""

import pickle
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.checkpoint.serde import _msgpack as langgraph_types
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from . import classes, states
from .allowed import Allowed
from .reading import Reader
from .refusals import NOT_STORABLE, Refused, not_allowed, not_storable
from .writing import Writer

TYPED = "typed"
"""The type of bytes that only this serializer reads correctly, so that other serializers refuse them."""


class TypedSerializer(JsonPlusSerializer):
    """Values as they are, in LangGraph's msgpack with more extensions.

    Without names of classes it rebuilds the data classes of every module that this process has imported: enums, dataclasses,
    pydantic models, named tuples, messages. Their objects are made without running their code. Strict, it writes and reads only the
    classes that are allowed.

    Args:
        allowed_types: Classes of yours, or their module and name. In strict mode only these are written and read; else they may
            also run their default factories, for fields that they were given since.
        strict: Whether to refuse classes that are not allowed, when they are written and when they are read. If it is not given, the
            environment says, and so does a graph that hands over what it declares.
        moved_types: The new location of classes that were moved or renamed: the old module and name, and the new class.
        pickle_fallback: Whether to pickle values that have no other stored form. Anyone who can write to the database can then run
            code in your process.
    """

    def __init__(
        self,
        *,
        allowed_types: Iterable[type | tuple[str, ...]] = (),
        strict: bool | None = None,
        moved_types: Mapping[str, type] | None = None,
        pickle_fallback: bool = False,
    ) -> None:
        given = tuple(allowed_types)
        super().__init__(pickle_fallback=pickle_fallback, allowed_msgpack_modules=given or None)
        self.is_permissive = strict is False
        strict = langgraph_types.STRICT_MSGPACK_ENABLED if strict is None else strict
        self._begin(Allowed.of(given, strict=strict), dict(moved_types or {}))

    def _begin(self, allowed: Allowed, moved: dict[str, type]) -> None:
        self._allowed = allowed
        self._moved = moved
        self._kinds: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
        self._derived: dict[Any, TypedSerializer] = {}

    is_permissive: bool
    """Whether `strict=False` was asked for."""

    @property
    def strict(self) -> bool:
        """Whether classes that are not allowed are refused."""
        return self._allowed.strict

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[tuple[str, ...] | type]) -> "TypedSerializer":
        """LangGraph calls this with the classes that a graph's schemas declare, if `LANGGRAPH_STRICT_MSGPACK` is set."""
        extra = frozenset(extra_allowlist)
        derived = self._derived.get(extra)
        if derived is None:
            derived = TypedSerializer.__new__(TypedSerializer)
            derived.__dict__.update(self.__dict__)
            derived._begin(self._allowed.with_more(extra), self._moved)
            if len(self._derived) < 1000:
                self._derived[extra] = derived
        return derived

    # Writing

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The type and the bytes of a value.

        Raises:
            InputError: It has no stored form that would come back unchanged, or its class is not allowed.
        """
        if obj is None:
            return "null", b""
        if type(obj) is bytes:
            return "bytes", obj
        try:
            writer = Writer(self._kind_to_write)
            data = writer.pack(obj)
            return (TYPED if writer.extended else "msgpack"), data
        except Refused as refused:
            if self.pickle_fallback and refused.code == NOT_STORABLE:
                try:
                    return "pickle", pickle.dumps(obj)
                except Exception as error:
                    raise refused from error
            raise

    def _kind_to_write(self, cls: type) -> str:
        kind = self._kinds.get(cls)
        if kind is None:
            kind = states.kind_of(cls)
            if kind is None:
                raise not_storable(cls)
            if not self._allowed.allows(cls):
                raise not_allowed(cls)
            classes.remember(cls)
            self._kinds[cls] = kind
        return kind

    # Reading

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of a type and bytes.

        Raises:
            StoreError: Its class is not imported, not a data class, or not allowed.
        """
        kind, content = data
        if kind in (TYPED, "msgpack"):
            return Reader(self._allowed, self._moved).unpack(content)
        if kind == "null":
            return None
        if kind == "bytes":
            return bytes(content)
        if kind == "bytearray":
            return bytearray(content)
        if kind == "pickle" and self.pickle_fallback:
            return pickle.loads(content)  # noqa: S301 -- asked for
        raise NotImplementedError(f"the type {kind!r} is not one that this serializer reads")
