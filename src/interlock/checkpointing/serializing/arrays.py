"""Serializes arrays and scalars of numpy with their full type, never with pickle.

Numpy is not a dependency: it is used only if it is imported already; otherwise reading an array raises an error that says so.
"""

import sys
from typing import Any

from .refusals import not_read, not_storable

ARRAY, OBJECTS, SCALAR = "ndarray", "ndarray of objects", "numpy scalar"
TAGS = frozenset({ARRAY, OBJECTS, SCALAR})


def parts_of(value: Any) -> list[Any] | None:
    """The tag and parts of an array or scalar; None for other values."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "ndarray"):
        return None
    cls = type(value)
    if cls is numpy.ndarray:
        if value.dtype.hasobject:
            if value.dtype != numpy.dtype(object):
                raise not_storable(cls, f"of type {value.dtype}, whose items are not of a fixed size.")
            return [OBJECTS, list(value.shape), value.ravel(order="C").tolist(), _order(value), value.flags.writeable]
        data = value.tobytes(order="A")
        return [ARRAY, _type_of(numpy, value.dtype), list(value.shape), _order(value), value.flags.writeable, data]
    if issubclass(cls, numpy.generic):
        if value.dtype.hasobject:
            raise not_storable(cls)
        return [SCALAR, _type_of(numpy, value.dtype), value.tobytes()]
    return None


def read(parts: list[Any]) -> Any:
    """Rebuild an array or scalar from its parts."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        raise not_read("numpy", "ndarray", "and numpy is not imported in this process.", "Import numpy first.")
    if parts[0] == SCALAR:
        return numpy.frombuffer(parts[2], dtype=_type(numpy, parts[1]), count=1)[0]
    if parts[0] == OBJECTS:
        _, shape, items, order, writeable = parts
        flat = numpy.empty(len(items), dtype=object)
        for at, item in enumerate(items):
            flat[at] = item
        array = flat.reshape(shape)
        array = numpy.asfortranarray(array) if order == "F" else array
    else:
        _, kind, shape, order, writeable, data = parts
        array = numpy.ndarray(tuple(shape), dtype=_type(numpy, kind), buffer=bytearray(data), order=order)
    array.flags.writeable = writeable
    return array


def _order(value: Any) -> str:
    return "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"


def _type_of(numpy: Any, dtype: Any) -> Any:
    """The description of a type in numpy's file format."""
    return _lists(numpy.lib.format.dtype_to_descr(dtype))


def _lists(described: Any) -> Any:
    return [_lists(one) for one in described] if isinstance(described, (list, tuple)) else described


def _type(numpy: Any, described: Any) -> Any:
    return numpy.lib.format.descr_to_dtype(_fields(described) if isinstance(described, list) else described)


def _fields(described: list[Any]) -> Any:
    if described and isinstance(described[0], list):
        return [tuple(_fields(part) if isinstance(part, list) else part for part in field) for field in described]
    return tuple(_fields(part) if isinstance(part, list) else part for part in described)
