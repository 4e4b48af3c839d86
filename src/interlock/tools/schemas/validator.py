"""Validates JSON data against a JSON Schema with a library, restricted so that a schema from elsewhere is safe."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NoReturn

import jsonschema_rs

from ..canonical import JSON, JsonObject
from ..errors import ContractError, Problem
from .cost import LONGEST, LONGEST_TOLD, Cost
from .published import cost_of

_MOST_PROBLEMS = 20
_BACKTRACKS = 100_000
_TOO_DEEP = Problem(field="", problem="is nested too deeply for the tool's schema to be checked; give less at once")
_DRAFTS = {
    "json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
}


class Validator:
    """Reports the problems of data under a schema: of draft 2020-12, or of the older draft in its `$schema`.

    References to other documents are not followed. `format` is an annotation and not asserted. Patterns run in time linear
    in the text, except those with lookarounds, which may backtrack a fixed number of times.
    """

    def __init__(self, schema: JsonObject) -> None:
        self.schema = schema

    @cached_property
    def _validator(self) -> Any:
        linear, bounded = (
            jsonschema_rs.RegexOptions(),
            jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
        )
        try:
            return self._made(linear)
        except ContractError:
            return self._made(bounded)

    def _made(self, patterns: Any) -> Any:
        try:
            return _draft_of(self.schema)(
                self.schema, validate_formats=False, retriever=_refuse, pattern_options=patterns, mask="it"
            )
        except Exception as error:  # the errors of the library have no common base class
            raise ContractError(
                f"the JSON Schema cannot be used: {str(error).splitlines()[0]}; fix the schema (draft 2020-12, with no "
                "references to other documents)"
            ) from error

    def check(self) -> None:
        """Check that the schema is usable.

        Raises:
            ContractError: It is not a schema, or refers to other documents.
        """
        self._validator  # noqa: B018 -- made on first use

    @cached_property
    def _cost(self) -> Cost | None:
        return cost_of(self.schema, "the tool")

    def _costs(self, value: JSON) -> int:
        return 0 if self._cost is None else self._cost.of(self.schema, value)

    def check_cost(self, value: JSON) -> list[Problem]:
        """Report data that would take too long to validate; another validator would take about as long."""
        return [] if self._costs(value) <= LONGEST else [_TOO_DEEP]

    def fits(self, value: JSON) -> bool:
        """Whether data fits the schema; False if the check would take too long."""
        return self._costs(value) <= LONGEST and bool(self._validator.is_valid(value))

    def problems(self, value: JSON) -> list[Problem]:
        """List the problems of data, place by place; empty if it fits. The messages do not quote the data."""
        costs = self._costs(value)
        if costs > LONGEST:
            return [
                Problem(field="", problem="is nested too deeply for the tool's schema to be checked; give less at once")
            ]
        if self._validator.is_valid(value):
            return []
        if costs > LONGEST_TOLD:
            return [Problem(field="", problem="does not fit the tool's schema")]
        found: list[Problem] = []
        for error in self._validator.iter_errors(value):
            found.append(Problem(field=_path(error.instance_path), problem=str(error.message)))
            if len(found) >= _MOST_PROBLEMS:
                break
        return found or [Problem(field="", problem="does not fit the schema")]


def _draft_of(schema: JsonObject) -> Any:
    named = str(schema.get("$schema", "")).rstrip("#").removeprefix("https://").removeprefix("http://")
    return _DRAFTS.get(named, jsonschema_rs.Draft202012Validator)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"it refers to another document, {uri}")


def _path(steps: Iterable[str | int]) -> str:
    return ".".join(map(str, steps))
