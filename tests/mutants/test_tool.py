"""The mutation tester itself, as far as it needs nothing beside the development environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import targets
from tests.mutants.by_hand import changes
from tests.mutants.report import LISTED, Record, estimated, listed, report
from tests.mutants.swapping import CannotSwapError, holders_in, swap, users

SOURCE = """
def outer(limit):
    def inner(value):
        return value < limit
    return inner

class Till:
    @staticmethod
    def total(items):
        return sum(items)
"""


@pytest.fixture
def module() -> Any:
    code = compile(SOURCE, "till.py", "exec", dont_inherit=True)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 -- the source stands above
    return holders_in({"till.py"}), names


class Lazy:
    """As the settings of Django, which Procrastinate imports: to look at its class is to load it."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("loaded")


def test_lazy_objects_are_not_asked_for_their_class() -> None:
    lazy = Lazy()
    assert holders_in({"of no function"}) == {}
    del lazy


def test_a_change_reaches_whoever_holds_the_function_already(module: Any) -> None:
    holders, names = module
    total = names["Till"].total

    swap(holders, SOURCE.replace("sum(items)", "len(items)"), "till.py", "Till.total", 8)

    assert total([3, 4]) == names["Till"].total([3, 4]) == 2


def test_a_change_inside_an_inner_function_is_one_of_the_outer(module: Any) -> None:
    holders, names = module

    swap(holders, SOURCE.replace("value < limit", "value <= limit"), "till.py", "outer", 2)

    assert names["outer"](3)(3) is True


def test_a_constant_is_about_the_lines_that_use_it_or_what_is_made_of_it() -> None:
    source = "A = 1\nB = (\n    A + 1\n)\nC = 3\n\ndef one():\n    return A\n\ndef two(x):\n    x = 1\n    return x + B\n\ndef three():\n    return C\n"

    assert [users(source, line) for line in (1, 3, 5, 6)] == [[8, 12], [12], [15], []]


def test_what_is_no_functions_body_cannot_be_exchanged(module: Any) -> None:
    with pytest.raises(CannotSwapError):
        swap(module[0], SOURCE, "till.py", "Till.nothing", 8)


def test_every_target_is_there_and_so_is_every_test_that_is_left_out() -> None:
    for pattern in targets.FILES:
        assert [*targets.PACKAGE.glob(pattern)], pattern
    for path in targets.NOT_ASKED:
        assert (targets.ROOT / path).exists(), path


def test_every_survivor_that_is_listed_has_a_place_and_a_reason() -> None:
    rows = re.findall(r"^\| `.*$", LISTED.read_text(), re.MULTILINE)
    reasons = listed()
    assert len(reasons) == len(rows), "a key stands there twice, or a row is not one"
    for row in rows:
        _, _, where, _, reason, _ = re.split(r"(?<!\\)\|", row)
        file = where.split()[0].strip("`").partition(":")[0]
        assert (targets.PACKAGE / file).exists(), row
        assert len(reason.split()) >= 3, row


def test_a_report_counts_what_was_noticed_and_lists_what_was_not(tmp_path: Path, capsys: Any) -> None:
    record = Record(tmp_path / "results.jsonl")
    record.exists("rules/gate.py", ["a", "b", "c", "d"])
    for key, status in (("a", "killed"), ("b", "survived"), ("c", "survived"), ("gone", "survived")):
        row = {
            "key": key,
            "file": "rules/gate.py",
            "function": "judge",
            "line": 1,
            "operator": "o",
            "before": "x",
            "after": "y",
        }
        mutant = type("M", (), row)
        record.add(type("O", (), {"mutant": mutant, "status": status, "killer": "", "asked": 3}))

    code = report(Record(tmp_path / "results.jsonl"), ["rules/gate.py"], tmp_path / "list.txt", {"b": "it is the same"})

    assert code == 1
    told = (tmp_path / "list.txt").read_text()
    assert told.startswith("c rules/gate.py:1 judge")
    assert "gone" not in told
    assert re.search(r"rules/gate\.py +4 +3 +1 +2 +1 +33\.3%", capsys.readouterr().out)


def test_a_share_is_estimated_by_how_many_mutants_each_file_has() -> None:
    assert estimated([(10, 10, 9)]) == (0.9, 0.0)  # all were run, so nothing is left to guess
    share, around = estimated([(100, 10, 10), (300, 10, 5)])
    assert share == pytest.approx((100 * 1.0 + 300 * 0.5) / 400)
    assert 0.15 < around < 0.3
    assert estimated([(100, 40, 40), (300, 40, 20)])[1] < around


def test_the_tests_about_a_file_are_called_after_it_or_import_it() -> None:
    assert targets.is_about("tests/rules/test_gate.py::TestDenials::test_one[a/b]", "rules/gate.py")
    assert targets.is_about("tests/commands/approvals/test_binding.py::test_one", "commands/approvals/binding.py")
    assert not targets.is_about("tests/commands/execution/test_left_behind.py::test_one", "rules/gate.py")
    assert not targets.is_about("tests/rules/test_limits.py::test_one", "rules/gate.py")
    assert targets.is_about("tests/rules/test_what_is_kept.py::test_one", "rules/stored_data.py"), "it imports the file"


def test_each_change_by_hand_names_a_file_and_changes_it() -> None:
    listed = changes()

    assert len({change.promise for change in listed}) == len(listed) > 50
    assert [change for change in listed if not (targets.PACKAGE / change.file).exists()] == []
    assert [change for change in listed if change.before == change.instead] == []
