"""`interlock check` and `interlock access`: claims, findings and the access review on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from interlock import Approval, SQLCheckpointer, Workflow
from interlock.rules.claims import always_possible, at_most, final

from ..rules.support import write
from .support import run

refund = write("order.refund")
close = write("case.close")
hold = write("case.hold")


def good() -> Workflow:
    flow = Workflow("desk")
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", refund, "open", approval=Approval(role="supervisor", within="1h"))
    flow.add_edge("open", close, "closed")
    return flow.claims(always_possible(final))


def bad() -> Workflow:
    return good().claims(at_most(refund, 1))


HERE = "tests.cli.test_check"


def test_claims_that_hold_end_with_zero_and_one_that_does_not_with_one() -> None:
    held = run("check", "--app", f"{HERE}:good")
    broken = run("check", "--app", f"{HERE}:bad")

    assert held.exit_code == 0
    assert "proved: a final state is always possible" in held.output
    assert broken.exit_code == 1
    assert "broken: order.refund happens at most 1 time" in broken.output
    assert "2. in 'open': anybody calls order.refund, supervisor approves" in broken.output


def test_what_was_found_is_json_for_programs() -> None:
    shown = json.loads(run("check", "--app", f"{HERE}:bad", "--json").stdout)

    verdicts = {claim["sentence"]: claim["verdict"] for claim in shown["claims"]}
    assert verdicts == {"a final state is always possible": "proved", "order.refund happens at most 1 time": "broken"}
    assert shown["claims"][1]["path"][0].startswith("1. in 'open'")


def test_claims_are_test_cases_of_a_junit_report(tmp_path: Path) -> None:
    report = tmp_path / "claims.xml"

    run("check", "--app", f"{HERE}:bad", "--junit", str(report))

    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "order.refund" in (failure.text or "")


def test_each_path_that_breaks_a_claim_is_written_as_a_picture_and_as_a_script_that_runs(tmp_path: Path) -> None:
    pictures, scripts = tmp_path / "pictures", tmp_path / "scripts"
    shown = run("check", "--app", f"{HERE}:bad", "--pictures", str(pictures), "--scripts", str(scripts))

    assert shown.exit_code == 1
    assert "broken: order.refund happens at most 1 time" in (pictures / "claim_2.svg").read_text("utf-8")
    written = sorted(scripts.iterdir())
    assert [path.name for path in written] == ["claim_2.py", "claim_2_door.py"]
    for script in written:
        names: dict[str, object] = {}
        exec(script.read_text("utf-8"), names)  # noqa: S102 -- ours
        assert "now in open" in str(names["replay"])


def test_an_approval_that_nobody_could_give_is_found_when_the_roles_are_known() -> None:
    shown = run("check", "--app", f"{HERE}:good", "--role", "agent", "--strict")

    assert shown.exit_code == 1
    assert "nobody_can_approve" in shown.output


def test_the_access_review_names_who_calls_what_and_who_decides() -> None:
    rows = json.loads(run("access", "--app", f"{HERE}:good", "--json").stdout)

    assert rows == [
        {
            "state": "open",
            "tool": "case.close",
            "leadsTo": "closed",
            "role": None,
            "decidedBy": None,
            "condition": None,
        },
        {
            "state": "open",
            "tool": "order.refund",
            "leadsTo": "open",
            "role": None,
            "decidedBy": "supervisor",
            "condition": None,
        },
    ]


def without_approval() -> Workflow:
    flow = Workflow("desk")
    flow.add_state("waiting")
    flow.add_state("closed", final=True)
    flow.add_edge("waiting", refund, "closed")
    return flow


def test_two_versions_are_compared_by_what_became_possible_and_whom_it_strands() -> None:
    shown = json.loads(run("access", "--app", f"{HERE}:without_approval", "--since", f"{HERE}:good", "--json").stdout)

    assert [row["tool"] for row in shown["becamePossible"]] == ["order.refund"]
    assert [row["tool"] for row in shown["becameImpossible"]] == ["case.close", "order.refund"]
    assert shown["statesGone"] == ["open"]


def renamed() -> Workflow:
    flow = Workflow("desk", version=2, state_mapping={"open": "started"})
    flow.add_state("started")
    flow.add_state("held")
    flow.add_state("closed", final=True)
    flow.add_edge("started", refund, "started", approval=Approval(role="supervisor", within="1h"))
    flow.add_edge("started", close, "closed")
    flow.add_edge("started", hold, "held")
    flow.add_edge("held", close, "closed")
    return flow


def test_a_state_that_is_only_called_otherwise_is_no_difference() -> None:
    shown = json.loads(run("access", "--app", f"{HERE}:renamed", "--since", f"{HERE}:good", "--json").stdout)

    assert [row["tool"] for row in shown["becamePossible"]] == ["case.hold", "case.close"]
    assert shown["becameImpossible"] == []
    assert shown["statesGone"] == []


@pytest.mark.parametrize(
    ("older", "newer", "touched"),
    [
        ("good", "renamed", "now"),
        ("good", "without_approval", "stranded"),
        ("good", "good", None),
        ("holding", "holding_longer", "later"),
    ],
)
def test_the_running_instances_are_named_that_a_new_version_touches(
    tmp_path: Path, older: str, newer: str, touched: str | None
) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    graph = globals()[older]().compile(SQLCheckpointer(url))
    for thread in ("running", "over"):
        graph.invoke({"messages": [("user", "begin")]}, {"configurable": {"thread_id": thread}})
    graph.instances.execute({"configurable": {"thread_id": "over"}}, "case.close", {})

    shown = run("access", "--app", f"{HERE}:{newer}", "--since", f"{HERE}:{older}", "--db", url, "--json")

    running = graph.instances.id_of({"configurable": {"thread_id": "running"}})
    expected = [] if touched is None else [{"workflowId": running, "version": 1, "state": "open", "touched": touched}]
    assert json.loads(shown.stdout)["instances"] == expected


def holding(version: int = 1) -> Workflow:
    flow = Workflow("desk", version=version)
    flow.add_state("open")
    flow.add_state("held")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    flow.add_edge("open", hold, "held")
    flow.add_edge("held", close, "closed")
    return flow


def holding_longer() -> Workflow:
    return holding(2).add_edge("held", hold, "held")


def test_the_access_review_is_a_table_for_a_manual() -> None:
    shown = run("access", "--app", f"{HERE}:good", "--markdown").stdout

    assert "| open | `order.refund` | open | anybody | supervisor |  |" in shown.splitlines()
