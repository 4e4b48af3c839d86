"""Serializes one value to bytes."""

from collections.abc import Callable
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from pydantic import BaseModel

from ...tools.canonical import EXACT
from . import arrays, classes, generics, langgraph_codes, states, values
from .codes import DATA, DELTA_SNAPSHOT, MODEL, TUPLE, VALUE
from .refusals import Refused, not_storable, too_deep
from .walking import holds_buffer, unusual

_WITH_ODD_KEYS = EXACT | ormsgpack.OPT_NON_STR_KEYS


class Writer:
    """Packs one value.

    Args:
        kind_to_write: The kind of a data class, or a refusal.
    """

    __slots__ = ("_kind_to_write", "_made", "_refused", "extended")

    def __init__(self, kind_to_write: Callable[[type], str]) -> None:
        self._kind_to_write = kind_to_write
        self._refused: Exception | None = None
        self.extended = False
        """Whether the value contains more than plain data, so that other serializers cannot read it."""
        self._made: dict[int, tuple[Any, ormsgpack.Ext]] = {}

    def pack(self, value: Any) -> bytes:
        """The bytes.

        Raises:
            InputError: Something in it has no stored form.
        """
        try:
            data = ormsgpack.packb(value, default=self._extension, option=EXACT)
        except (TypeError, ValueError):
            self._raise_refusal(value)
            return self._pack_unusual(value)
        # Msgpack packs byte arrays as bytes. These type bytes are rare in values without either.
        if (b"\xc4" in data or b"\xc5" in data or b"\xc6" in data) and holds_buffer(value):
            return self._pack_unusual(value)
        return data

    def _pack_unusual(self, value: Any) -> bytes:
        """As `pack`, but checks everything in Python, so that errors name the problem."""
        self.extended = True
        try:
            return ormsgpack.packb(unusual(value, self._extension), default=self._extension, option=_WITH_ODD_KEYS)
        except Refused:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            self._raise_refusal(value)
            raise too_deep(type(value)) from error

    def _raise_refusal(self, value: Any) -> None:
        """Raise the error of the hook, which msgpack discards."""
        refused, self._refused = self._refused, None
        if refused is None:
            return
        if isinstance(refused, Refused):
            raise refused
        if isinstance(refused, RecursionError):
            raise too_deep(type(value)) from refused
        raise not_storable(type(value), f"which cannot be read: {type(refused).__name__}: {refused}.") from refused

    def _extension(self, obj: Any) -> ormsgpack.Ext:
        """The stored form of an object. It is cached, because msgpack may call the hook again for the same object."""
        self.extended = True
        made = self._made.get(id(obj))
        if made is not None:
            return made[1]
        try:
            ext = self._make(obj)
        except Exception as error:
            self._refused = error
            raise
        self._made[id(obj)] = (obj, ext)
        return ext

    def _make(self, obj: Any) -> ormsgpack.Ext:
        cls = type(obj)
        if cls is tuple:
            return ormsgpack.Ext(TUPLE, self.pack(list(obj)))
        if (write := values.WRITE.get(cls)) is not None:
            return ormsgpack.Ext(VALUE, self.pack(write(obj)))
        if cls is _DeltaSnapshot:
            return ormsgpack.Ext(DELTA_SNAPSHOT, self.pack(obj.value))
        if (parts := arrays.parts_of(obj)) is not None:
            return ormsgpack.Ext(VALUE, self.pack(parts))
        kind = self._kind_to_write(cls)
        if kind == states.MODEL_V2:
            return self._model(cls, obj)
        state = states.state_of(obj, kind)
        return ormsgpack.Ext(DATA, self.pack([kind, *classes.named(cls), state]))

    def _model(self, cls: type[BaseModel], obj: BaseModel) -> ormsgpack.Ext:
        if cls in langgraph_codes.MESSAGES and not obj.__pydantic_extra__ and not obj.__pydantic_private__:
            parts = [cls.__module__, cls.__name__, obj.__dict__, langgraph_codes.VALIDATE]
            return ormsgpack.Ext(MODEL, self.pack(parts))
        fields, rest = states.model_state(obj)
        return ormsgpack.Ext(MODEL, self.pack([*classes.named(cls), fields, [*rest, generics.described(cls)]]))
