"""Asking at the terminal: exactly what would run is shown, and what is typed becomes an answer."""

import io
from typing import Any

import pytest

from interlock.cli.support import asking
from interlock.pictures.previews import preview_lines
from interlock.tools.approvals import DecisionKind

REQUEST: dict[str, Any] = {
    "type": "approval",
    "tool": "order.refund",
    "requestedBy": "model-7",
    "arguments": {"orderId": "#W1", "amount": 12.5, "lines": ["a", "b"]},
    "preview": {
        "orderId": "#W1",
        "changes": {"status": {"from": "open", "to": None}, "payments": [{"added": {"sum": 5}}]},
    },
    "reasons": ["spending cap: over 10"],
    "review_configs": [{"action_name": "order.refund", "allowed_decisions": ["approve", "edit", "reject", "respond"]}],
}


def answer(monkeypatch: pytest.MonkeyPatch, typed: str, allowed: list[str] | None = None) -> dict[str, Any]:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    request = dict(REQUEST)
    if allowed is not None:
        request["review_configs"] = [{"allowed_decisions": allowed}]
    return asking.ask(request)


@pytest.mark.parametrize("typed", ["a\n", "Approve\n", "yes\n", "\n\ny\n"])
def test_approving(monkeypatch: pytest.MonkeyPatch, typed: str):
    assert answer(monkeypatch, typed) == {"type": DecisionKind.APPROVE}


@pytest.mark.parametrize("typed", ["r\n", "no\n", "x\nreject\n"])
def test_rejecting(monkeypatch: pytest.MonkeyPatch, typed: str):
    assert answer(monkeypatch, typed) == {"type": DecisionKind.REJECT}


def test_saying_something_else(monkeypatch: pytest.MonkeyPatch):
    assert answer(monkeypatch, "only the first line\n") == {
        "type": DecisionKind.RESPOND,
        "message": "only the first line",
    }


def test_editing_keeps_what_is_left_empty_and_the_types_of_what_is_not(monkeypatch: pytest.MonkeyPatch):
    typed = 'e\n#42\n7.5\n["a"]\n'
    assert answer(monkeypatch, typed) == {
        "type": DecisionKind.EDIT,
        "args": {"orderId": "#42", "amount": 7.5, "lines": ["a"]},
    }
    assert answer(monkeypatch, "e\n\n\n\n")["args"] == REQUEST["arguments"]


def test_what_is_not_allowed_is_no_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert answer(monkeypatch, "e\nwhatever\nr\n", ["approve", "reject"]) == {"type": DecisionKind.REJECT}
    shown = capsys.readouterr().out
    assert "[e]dit" not in shown
    assert shown.count("none of the answers") == 2


def test_nobody_there_is_not_taken_for_a_yes(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EOFError):
        answer(monkeypatch, "")


def test_everything_that_would_run_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "80")
    long = "x" * 300
    asking.show_request({**REQUEST, "arguments": {**REQUEST["arguments"], "note": long, "hidden": "a\x1b[8mb"}})
    shown = capsys.readouterr().out
    assert shown.count("x") >= 300
    assert "\x1b[8m" not in shown
    assert "\\u001b[8mb" in shown
    for part in (
        "order.refund",
        "model-7",
        "#W1",
        "12.5",
        "a, b",
        "- open",
        "+ sum 5",
        "spending cap: over 10",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("preview", "told"),
    [
        ("a text", [("", "a text")]),
        (None, [("", "nothing")]),
        ({"a": {"b": {"from": 1, "to": 2}}}, [("a.b", "1 → 2")]),
        ({"changes": {"x": [{"added": "y"}, "z"]}}, [("x", "+ y"), ("x", "z")]),
        ({"a": {}, "b": []}, [("a", "empty"), ("b", "empty")]),
    ],
)
def test_previews_of_any_shape_are_told(preview: Any, told: list[tuple[str, str]]):
    assert list(preview_lines(preview, write=asking._plain)) == told
