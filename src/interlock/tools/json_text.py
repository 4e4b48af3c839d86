"""Writes JSON text with less around it: what is written at every step is small, and `json.JSONEncoder` makes an encoder for each value."""

import json
import json.encoder
from collections.abc import Callable
from typing import Any

_Make = Callable[..., Callable[[object, int], tuple[str, ...]]]


def json_writer(
    *,
    ensure_ascii: bool = True,
    allow_nan: bool = True,
    sort_keys: bool = False,
    separators: tuple[str, str] = (", ", ": "),
    default: Callable[[Any], Any] | None = None,
) -> Callable[[object], str]:
    """Make a function that writes what `json.JSONEncoder` writes with these options, through one encoder in C that is kept.

    A value that holds itself raises `RecursionError`, and no `ValueError`, as nothing looks after that.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii,
        allow_nan=allow_nan,
        sort_keys=sort_keys,
        separators=separators,
        default=default,
        check_circular=False,
    )
    make: _Make | None = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without it
        return encoder.encode
    item, key = separators
    text = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    parts = make(None, encoder.default, text, None, key, item, sort_keys, False, allow_nan)
    join = "".join
    return lambda value: join(parts(value, 0))
