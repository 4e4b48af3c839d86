"""Results are read back from the wire, wherever they stand."""

import json
from typing import Any

import pytest

from interlock import CommandResult, ErrorResult, ReadResult, parse_result
from interlock.tools.errors import InvalidInput

COMMON: dict[str, Any] = {
    "workflowId": "wf_1",
    "currentState": "queued",
    "revision": 3,
    "nextAllowedTools": ["queue.status"],
    "auditRef": "audit_1",
}
ERROR = {"code": "tool_not_allowed", "message": "no", "retryable": False, "details": {}}
RESULTS = [
    ({**COMMON, "ok": True, "previousState": "validated", "output": {"queueId": "q"}}, CommandResult),
    ({**COMMON, "schemaVersion": 1, "ok": True, "output": "paid"}, ReadResult),
    ({**COMMON, "ok": False, "error": ERROR}, ErrorResult),
    ({name: COMMON[name] for name in COMMON if name != "revision"} | {"ok": False, "error": ERROR}, ErrorResult),
]


@pytest.mark.parametrize(("value", "model"), RESULTS)
def test_a_result_is_read_as_what_it_is_and_written_as_it_was(value: dict[str, Any], model: type[Any]) -> None:
    for given in (value, json.dumps(value)):
        result = parse_result(given)
        assert type(result) is model
        assert result.to_json() == value


@pytest.mark.parametrize("value", [{}, None, "delivered", '{"output": 1}', "[1]", 3, {"ok": True}])
def test_what_is_no_result_is_none(value: Any) -> None:
    assert parse_result(value) is None


def test_a_result_that_does_not_fit_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="currentState: Field required"):
        parse_result({"ok": True, "auditRef": "a", "workflowId": "w", "nextAllowedTools": []})
