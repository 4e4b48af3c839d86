"""Parses bytes to a value. They come from a database, so they are untrusted."""

from collections.abc import Mapping
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from . import arrays, classes, generics, langgraph_codes, states, values
from .allowed import Allowed
from .codes import DATA, DELTA_SNAPSHOT, LANGGRAPH_ARRAY, LANGGRAPH_MODEL_V1, MODEL, TUPLE, VALUE
from .refusals import not_read

UNPACK = ormsgpack.OPT_NON_STR_KEYS


class Reader:
    """Unpacks one value.

    Args:
        allowed: The classes that may be read.
        moved: The current classes, by their former names.
    """

    __slots__ = ("_allowed", "_failed", "_found", "_moved")

    def __init__(self, allowed: Allowed, moved: Mapping[str, type]) -> None:
        self._allowed = allowed
        self._moved = moved
        self._failed: Exception | None = None
        self._found: dict[tuple[str, str, str | None], tuple[type, bool]] = {}

    def unpack(self, data: bytes) -> Any:
        """The value.

        Raises:
            StoreError: Its class is not imported, not a data class, or not allowed.
        """
        try:
            return ormsgpack.unpackb(data, ext_hook=self._object, option=UNPACK)
        except ValueError:
            if self._failed is not None:
                raise self._failed from None
            raise

    def _object(self, code: int, payload: bytes) -> Any:
        """The extension hook; it keeps its error, because msgpack discards errors of hooks."""
        try:
            return self._read(code, ormsgpack.unpackb(payload, ext_hook=self._object, option=UNPACK))
        except Exception as error:
            if self._failed is None:
                self._failed = error
            raise

    def _read(self, code: int, content: Any) -> Any:
        if code == TUPLE:
            return tuple(content)
        if code == VALUE:
            return arrays.read(content) if content[0] in arrays.TAGS else values.read(content)
        if code == MODEL:
            return self._read_model(*content)
        if code == DATA:
            kind, module, name, state = content
            cls, trusted = self._class_to_read(module, name, kind)
            return states.rebuilt(cls, kind, state, trusted=trusted) if cls is not dict else state
        if code == DELTA_SNAPSHOT:
            return _DeltaSnapshot(content)
        if code == LANGGRAPH_ARRAY:
            return langgraph_codes.array(*content)
        if code > LANGGRAPH_MODEL_V1:
            raise ValueError(f"the extension {code} does not occur in stored values")
        return langgraph_codes.read(code, content, self._class_of_langgraph)

    def _read_model(self, module: str, name: str, fields: dict[str, Any], rest: Any = None) -> Any:
        if type(rest) is not list:
            return langgraph_codes.model(module, name, fields, self._class_of_langgraph)
        *state, generic = rest
        if generic is not None and f"{module}.{name}" not in self._moved:
            cls: type = generics.found(generic, self._class_to_read)
            return states.rebuilt_model(cls, fields, state, trusted=self._allowed.names(cls))
        cls, trusted = self._class_to_read(module, name, states.MODEL_V2)
        return states.rebuilt_model(cls, fields, state, trusted=trusted) if cls is not dict else fields

    def _class_to_read(self, module: str, name: str, kind: str | None) -> tuple[type, bool]:
        """The class in a row, and whether it is allowed by name."""
        found = self._found.get((module, name, kind))
        if found is None:
            found = self._found[module, name, kind] = self._look_up(module, name, kind)
        return found

    def _look_up(self, module: str, name: str, kind: str | None) -> tuple[type, bool]:
        cls = classes.found(module, name, self._moved)
        if cls is dict and f"{module}.{name}" in self._moved:
            return dict, True
        if kind is not None and states.kind_of(cls) != kind:
            raise not_read(module, name, "which is not the data class that it was.", "Restore the class.")
        if not self._allowed.allows(cls):
            raise not_read(
                module, name, "which is not allowed, and this checkpointer is strict.",
                "Declare the class in a schema of the graph, or name it in allowed_types.",
            )  # fmt: skip
        return cls, self._allowed.names(cls)

    def _class_of_langgraph(self, module: str, name: str) -> tuple[type, bool, str | None]:
        """As `_class_to_read`, for rows of LangGraph's serializer, with the kind."""
        cls, trusted = self._class_to_read(module, name, None)
        return cls, trusted, states.kind_of(cls)
