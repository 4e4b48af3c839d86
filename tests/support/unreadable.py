"""Values and exceptions whose own methods raise, as an application may give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interlock import Refused


class Raising:
    """Raises whatever it is asked."""

    def __repr__(self) -> str:
        raise LookupError

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise LookupError

    def __hash__(self) -> int:
        raise LookupError


class Hidden:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise LookupError


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise LookupError


class NamelessError(Exception, metaclass=Nameless):
    """Its class has no name to give."""


class NamelessValue(metaclass=Nameless):
    """Its class has no name to give."""


class Text(str):
    """A text whose methods raise."""

    __slots__ = ()

    def __str__(self) -> str:
        raise LookupError

    def strip(self, chars: str | None = None, /) -> str:
        raise LookupError

    def __eq__(self, other: object) -> bool:
        raise LookupError

    __hash__ = str.__hash__


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


class Garbled(Exception):
    """Says what no database keeps."""

    def __str__(self) -> str:
        return "NUL \0 and half a character \ud800" + "!" * 5_000


ERRORS: dict[str, Callable[[], Exception]] = {
    "no words": Unspeakable,
    "no name": NamelessError,
    "an argument that raises": lambda: LookupError(Raising()),
    "a text that no database keeps": Garbled,
    "refused with a value that raises": lambda: Refused(Raising()),  # type: ignore[arg-type]
    "refused with a text that raises": lambda: Refused(Text("no")),
    "refused with details that raise": lambda: Refused("no", details={"why": Raising()}),
    "refused with a value that hides": lambda: Refused(Hidden()),  # type: ignore[arg-type]
}
VALUES: dict[str, Callable[[], Any]] = {
    "raises": Raising, "hides its class": Hidden, "no name": NamelessValue, "a text": lambda: Text("no"), "an error": NamelessError,
}  # fmt: skip
