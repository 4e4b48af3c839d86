"""Makes a form from the input schema of a call, and reads the submitted form.

Values of simple types have their own field; others are edited as JSON. The contract validates the arguments; this module only
distinguishes text from numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ...tools.canonical import JsonObject
from ...tools.errors import InvalidArguments
from ...tools.sinks import html

PREFIX = "argument."


@dataclass(frozen=True)
class Field:
    """One argument in a form."""

    name: str
    kind: str
    """`text`, `number`, `boolean`, `choice` or `json`."""
    value: str
    label: str
    hint: str
    required: bool
    fixed: bool
    """Whether it is read-only, because the rule does not allow edits."""
    original: Any
    choices: Sequence[str] = ()
    problem: str | None = None

    @property
    def html(self) -> Markup:
        """The field with its label and problem."""
        identity = f"field-{self.name}"
        described = f"{identity}-hint" + (f" {identity}-problem" if self.problem else "")
        common = Markup(' id="{}" name="{}" aria-describedby="{}"').format(identity, PREFIX + self.name, described)
        if self.problem:
            common += Markup(' aria-invalid="true"')
        if self.required and self.kind != "boolean":
            common += Markup(" required")
        if self.fixed:
            common += Markup(" disabled")
        hint = Markup('<span class="hint" id="{}-hint">{}</span>').format(
            identity, self.hint + (" (fixed)" if self.fixed else "")
        )
        problem = (
            Markup('<p class="error" id="{}-problem">{}</p>').format(identity, self.problem)
            if self.problem
            else Markup("")
        )
        return Markup('<label for="{}">{} {}</label>{}{}').format(
            identity, self.label, hint, self._control(common), problem
        )

    def _control(self, common: Markup) -> Markup:
        value = Markup(html(self.value))  # noqa: S704 -- the sink for HTML
        if self.kind in {"choice", "boolean"}:
            choices = ("true", "false") if self.kind == "boolean" else self.choices
            options = Markup("").join(
                Markup("<option{}>{}</option>").format(Markup(" selected") if one == self.value else "", one)
                for one in choices
            )
            return Markup("<select{}>{}</select>").format(common, options)
        if self.kind == "json":
            return Markup('<textarea{} spellcheck="false">{}</textarea>').format(common, value)
        mode = Markup(' inputmode="decimal"') if self.kind == "number" else Markup("")
        return Markup('<input{}{} value="{}">').format(common, mode, value)


def fields_of(
    schema: Mapping[str, Any],
    arguments: JsonObject,
    editable: frozenset[str] | None,
    given: Mapping[str, str],
    problems: Mapping[str, str],
) -> list[Field]:
    """The fields of a form.

    Args:
        schema: The input schema of the tool.
        arguments: The proposed arguments.
        editable: The wire names of the editable arguments; None for all.
        given: The previously submitted values, if they had problems.
        problems: The problems, by argument.
    """
    required = set(schema.get("required", ()))
    return [
        _field(
            name,
            wanted if isinstance(wanted, Mapping) else {},
            arguments.get(name),
            required=name in required,
            fixed=editable is not None and name not in editable,
            filled=given.get(PREFIX + name),
            problem=next((text for field, text in problems.items() if field.split(".")[0] == name), None),
        )
        for name, wanted in schema.get("properties", {}).items()
    ]


def arguments_of(fields: Sequence[Field], given: Mapping[str, str]) -> JsonObject:
    """Read the arguments of a submitted form.

    Raises:
        InvalidArguments: A number or JSON cannot be parsed.
    """
    arguments: JsonObject = {}
    wrong = []
    for field in fields:
        text = given.get(PREFIX + field.name)
        if field.fixed or text is None:
            if field.original is not None or field.required:
                arguments[field.name] = field.original
            continue
        if not text.strip() and not field.required:
            continue
        try:
            arguments[field.name] = _read(field.kind, text)
        except ValueError:
            what = "a number" if field.kind == "number" else "JSON"
            wrong.append({"field": field.name, "problem": f"has to be {what}"})
    if wrong:
        raise InvalidArguments(
            "Some fields cannot be read. Nothing was decided; correct them.",
            problems=wrong,  # type: ignore[arg-type]
        )
    return arguments


def _read(kind: str, text: str) -> Any:
    match kind:
        case "text" | "choice":
            return text
        case "boolean":
            return text == "true"
        case "number":
            number = json.loads(text.strip())
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(text)
            return number
        case _:
            return json.loads(text)


def _field(
    name: str,
    wanted: Mapping[str, Any],
    original: Any,
    *,
    required: bool,
    fixed: bool,
    filled: str | None,
    problem: str | None,
) -> Field:
    kind, choices = _kind(wanted, original)
    as_text = isinstance(original, str) and kind != "json"
    value = "" if original is None else original if as_text else json.dumps(original, ensure_ascii=False)
    return Field(
        name,
        kind,
        value if filled is None else filled,
        name,
        str(wanted.get("description", "")),
        required,
        fixed,
        original,
        choices,
        problem,
    )


def _kind(wanted: Mapping[str, Any], original: Any) -> tuple[str, tuple[str, ...]]:
    choices = wanted.get("enum")
    if isinstance(choices, list) and all(isinstance(one, str) for one in choices):
        return "choice", tuple(choices)
    types = _types(wanted)
    if "string" in types and (original is None or isinstance(original, str)):
        return "text", ()
    if types & {"integer", "number"} and (original is None or isinstance(original, int | float)):
        return "number", ()
    if "boolean" in types and (original is None or isinstance(original, bool)):
        return "boolean", ()
    return "json", ()


def _types(wanted: Mapping[str, Any]) -> set[str]:
    """The JSON types that a schema explicitly allows."""
    named = wanted.get("type", ())
    types = {named} if isinstance(named, str) else {*named}
    return types.union(*(_types(one) for one in wanted.get("anyOf", ()) if isinstance(one, Mapping)))


__all__ = ["PREFIX", "Field", "arguments_of", "fields_of"]
