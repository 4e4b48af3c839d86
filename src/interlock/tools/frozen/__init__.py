"""Copies of frozen dataclasses that every command makes several of."""

from typing import TypeVar

T = TypeVar("T")


def changed(one: T, **changes: object) -> T:
    """Return a copy of a frozen dataclass without slots, with other values in some fields.

    `dataclasses.replace` inspects every field, and runs `__init__` and `__post_init__`, which this does not.

    Raises:
        TypeError: It has no such field.
    """
    if not changes.keys() <= one.__dict__.keys():
        raise TypeError(f"{type(one).__name__} has no field {', '.join(sorted(changes.keys() - one.__dict__.keys()))}")
    made = object.__new__(type(one))
    made.__dict__.update(one.__dict__, **changes)
    return made


__all__ = ["changed"]
