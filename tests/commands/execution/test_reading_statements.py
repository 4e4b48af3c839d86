"""Which statements of a rule certainly write nothing, so that no savepoint is set before them."""

from __future__ import annotations

import pytest

from interlock.commands.execution.looking import reads_only


@pytest.mark.parametrize(
    ("statement", "is_known"),
    [
        ("SELECT RIGHT(note, 3), LEFT(note, 3) FROM orders", True),
        ("SELECT CAST(total AS DECIMAL(10, 2)), CAST(paid AS NUMERIC(10, 2)) FROM orders", True),
        ("SELECT CAST(note AS CHAR(3)), CAST(note AS VARCHAR(3)) FROM orders", True),
        ("SELECT next_number(note) FROM orders", False),
    ],
)
def test_a_select_writes_nothing_if_all_functions_that_it_calls_are_known(statement: str, is_known: bool) -> None:
    assert reads_only(statement) is is_known
