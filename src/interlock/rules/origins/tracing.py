"""Tracing: where the value of each argument of a call comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ...tools.canonical import same_json, to_json
from ...tools.contracts import ToolContract
from ...tools.errors import NotJson
from ...tools.origins import MarkedField, MarkKind
from ...tools.origins.contracts import input_fields
from .holding import Fields, leaves
from .index import Found, Index, Named, Origin, least_trusted
from .words import addresses, is_plain


@dataclass(frozen=True)
class Traced:
    """One argument and the origin of its value."""

    path: tuple[str, ...]
    origin: Origin
    is_secret: bool = False
    value: Any = None
    """The searched value: the least trusted word of a text, else the whole argument."""
    source: Named | None = None
    """The source of the value."""

    @property
    def label(self) -> str:
        """The path of the argument, such as `to.*.account`."""
        return ".".join(self.path)


IN_WORDS = {
    Origin.USER: "the person served",
    Origin.APP: "the tool itself",
    Origin.RECORD: "a record that the person named",
    Origin.LISTED: "a record that nobody named",
    Origin.NOWHERE: "no trusted source",
}


def traced(
    tool: ToolContract, arguments: Mapping[str, Any], sources: Index, *, whole: bool = False
) -> Iterator[Traced]:
    """Trace each argument of a call to the origin of its value, in the order of the arguments.

    Args:
        tool: The tool.
        arguments: The canonical arguments, as on the wire.
        sources: The instance's stored sources.
        whole: Whether content is traced as a whole; otherwise only the addresses in it.
    """
    fields, supplied = _known_of(tool)
    for name, value in arguments.items():
        if name in supplied or _is_default(tool, name, value):
            yield Traced((name,), Origin.APP)
            continue
        for path, leaf in leaves(value, (name,)):
            found, what = _found(fields.at(path), leaf, sources, whole=whole)
            yield Traced(path, found.origin, sources.is_secret(leaf), what, found.source)
        yield from _free_names(fields, value, (name,), sources)


def _known_of(tool: ToolContract) -> tuple[Fields, frozenset[str]]:
    """The input fields of a tool with their markers, and the names of those that the application supplies."""
    known = _known.get(tool)
    if known is None:
        supplied = frozenset(field.name for field in tool.supplied_fields)
        known = _known[tool] = Fields(input_fields(tool)), supplied
    return known


_known: WeakKeyDictionary[ToolContract, tuple[Fields, frozenset[str]]] = WeakKeyDictionary()


def _found(candidates: list[MarkedField], value: Any, sources: Index, *, whole: bool) -> tuple[Found, Any]:
    """The origin of a value, and the part of the value that has this origin."""
    if candidates and all(one.is_choice for one in candidates):
        return Found(Origin.APP), value
    marks = {one.mark for one in candidates if not one.is_choice}
    mark = marks.pop() if len(marks) == 1 else None
    if mark is not None and mark.kind is MarkKind.CONTENT and isinstance(value, str) and not whole:
        if not is_plain(value, lines=True):
            return Found(Origin.NOWHERE), value
        every = [_of_address(one, sources) for one in addresses(value)]
        least = least_trusted([found.origin for found, _ in every])
        return next((one for one in every if one[0].origin is least), (Found(least), value))
    return sources.found(value, kind=None if mark is None else mark.of), value


def _of_address(found_words: list[str], sources: Index) -> tuple[Found, Any]:
    """The origin of an address in a text; a number in groups may also have one origin per group."""
    whole = " ".join(found_words)
    found = sources.found(whole)
    if found.origin is not Origin.NOWHERE or len(found_words) == 1:
        return found, whole
    each = [sources.found(word) for word in found_words]
    least = least_trusted([one.origin for one in each])
    return next(one for one in each if one.origin is least), whole


def _free_names(fields: Fields, value: Any, path: tuple[str, ...], sources: Index) -> Iterator[Traced]:
    """The mapping keys that the tool's schema does not declare, so the model chose them."""
    match value:
        case Mapping():
            for name, inner in value.items():
                here = (*path, str(name))
                if not fields.names(here):
                    found = sources.found(str(name))
                    yield Traced((*here, "(its name)"), found.origin, value=str(name), source=found.source)
                yield from _free_names(fields, inner, here, sources)
        case list() | tuple():
            for inner in value:
                yield from _free_names(fields, inner, (*path, "*"), sources)


def _is_default(tool: ToolContract, name: str, value: Any) -> bool:
    """Whether an argument has the default value that the tool's author set."""
    model = tool.input_model
    if model is None:
        return False
    for own, one in model.model_fields.items():
        if name in {own, one.alias} and not one.is_required() and one.default_factory is None:
            try:
                return bool(same_json(to_json(one.default), value))
            except NotJson:
                return False
    return False


__all__ = ["IN_WORDS", "Traced", "traced"]
