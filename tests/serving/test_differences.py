"""A preview as changes of single fields."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.pictures.previews import changes


@pytest.mark.parametrize(
    ("preview", "paths"),
    [
        (
            {"changes": {"status": {"before": "a", "after": "b"}, "note": {"before": None, "after": "c"}}},
            ["status", "note"],
        ),
        ({"changes": {"status": {"before": "a", "after": "b"}}}, ["changes.status"]),
        ({"one": {"x": {"from": 1, "to": 2}}, "two": {"x": {"from": 1, "to": 2}}}, ["one.x", "two.x"]),
        ({"before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}}, ["b"]),
        ({"order": "W-7"}, []),
        ("text", []),
    ],
)
def test_each_field_that_changes_is_named_shortly(preview: Any, paths: list[str]) -> None:
    assert [one.path for one in changes(preview)] == paths
