"""The fleet page says which instances a version strands, and what is learned leaves as a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from interlock import SQLCheckpointer, Workflow, command
from interlock.checkpointing.reports import learning
from interlock.serving import service
from interlock.tools.errors import InputError, RunError
from tests.serving.desk import KIM, SUE, by_header, served

OLGA = {"x-test-user": "olga"}


@command("case.look", effect="transactional")
def look() -> str:
    """Look at a case."""
    return "looked at"


@command("case.close", effect="transactional")
def close() -> str:
    """Close a case."""
    return "closed"


@command("case.archive", effect="transactional")
def archive() -> str:
    """Archive a case."""
    return "archived"


def first() -> Workflow:
    flow = Workflow("cases", version=1)
    flow.add_state("new").add_state("open").add_state("closed", final=True)
    return flow.add_edge("new", look, "open").add_edge("open", close, "closed")


def without_a_state() -> Workflow:
    flow = Workflow("cases", version=2)
    flow.add_state("new").add_state("closed", final=True)
    return flow.add_edge("new", close, "closed")


def with_a_mapping() -> Workflow:
    flow = Workflow("cases", version=2, state_mapping={"open": "new"})
    flow.add_state("new").add_state("closed", final=True)
    return flow.add_edge("new", close, "closed")


def without_an_edge() -> Workflow:
    flow = Workflow("cases", version=2)
    flow.add_state("new").add_state("open").add_state("closed", final=True)
    return flow.add_edge("new", look, "open").add_edge("open", archive, "closed")


def with_one_edge_more() -> Workflow:
    flow = Workflow("cases", version=2)
    flow.add_state("new").add_state("open").add_state("closed", final=True)
    flow.add_edge("new", look, "open").add_edge("open", close, "closed")
    return flow.add_edge("open", archive, "closed")


def ending_earlier() -> Workflow:
    flow = Workflow("cases", version=2)
    flow.add_state("new").add_state("open", final=True)
    return flow.add_edge("new", look, "open")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'cases.db'}"
    else:
        yield request.getfixturevalue("postgres_database")


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (without_a_state, "there is no such state"),
        (with_a_mapping, None),
        (without_an_edge, "it no longer has case.close to"),
        (with_one_edge_more, None),
        (ending_earlier, "it was not final and is"),
    ],
)
def test_a_planned_version_is_told_apart_by_what_it_would_strand_which_is_what_it_then_refuses(
    url: str, later: Callable[[], Workflow], said: str | None
) -> None:
    with SQLCheckpointer(url) as saver:
        graph = first().compile(saver)
        begun = graph.instances.start(principal=KIM).workflow_id
        graph.instances.propose(begun, "case.look", {}, principal=KIM, key="look")
        ended = graph.instances.start(principal=KIM).workflow_id
        for tool in ("case.look", "case.close"):
            graph.instances.propose(ended, tool, {}, principal=KIM, key=tool)
        with TestClient(service(graph, planned=[later()], principal=by_header)) as client:
            page = client.get("/console/fleet", headers=OLGA).text
        assert "v2 is planned" in page
        assert ("It would strand no instance" in page) is (said is None)
        assert (begun in page) is (said is not None)
        assert ended not in page
        assert said is None or said in page
        assert "Instances of earlier versions cannot go on" not in page
        # And so it is, once that version is here.
        after = later().compile(saver)
        offered = after.engine.definition.by_source.get("open") or after.engine.definition.by_source["new"]
        if said is None:
            assert after.instances.propose(begun, offered[0].tool.name, {}, principal=KIM, key="on").ok
        else:
            with pytest.raises(RunError) as refused:
                after.instances.propose(begun, offered[0].tool.name, {}, principal=KIM, key="on")
            assert refused.value.code in {"definition_changed", "unknown_state"}


def test_the_version_that_is_served_says_which_instances_it_strands_and_a_newer_one_too(url: str) -> None:
    with SQLCheckpointer(url) as saver:
        graph = first().compile(saver)
        begun = graph.instances.start(principal=KIM).workflow_id
        graph.instances.propose(begun, "case.look", {}, principal=KIM, key="look")
        newer = with_one_edge_more().compile(saver)
        moved = newer.instances.start(principal=KIM).workflow_id
        for now, stranded, why in (
            (without_a_state().compile(saver), begun, "there is no such state"),
            (graph, moved, "version 2 moved it on, which is newer"),
        ):
            with TestClient(service(now, principal=by_header)) as client:
                page = client.get("/console/fleet", headers=OLGA).text
            assert "Instances of earlier versions cannot go on" in page
            assert stranded in page
            assert why in page


def test_a_planned_version_of_no_workflow_that_is_served_is_refused() -> None:
    with pytest.raises(InputError, match="other"):
        service(first().compile(), planned=[Workflow("other").add_state("open", final=True)], principal=by_header)


def test_learned_examples_are_read_and_sent_in_pages(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    examples = learning.examples

    def few(connection: Any, over: Any, **options: Any) -> Any:
        found, place = examples(connection, over, **options, look_at=2)
        looked.append(len(found))
        return found, place

    monkeypatch.setattr(learning, "examples", few)
    with served(url) as at:
        instances = at.graph.instances
        expected = []
        for number in range(7):
            begun = instances.start(principal=KIM).workflow_id
            arguments: Any = {"orderId": f"W-{number}", "amount": "4.00"}
            asked = instances.propose(begun, "order.refund", arguments, principal=KIM, key="k").pending.proposal_id
            if number == 3:
                continue  # nobody decides
            if number % 2 == 0:
                instances.decide(asked, {"type": "reject", "message": f"no {number}"}, by=SUE)
                expected.append(f"no {number}")
            else:
                instances.decide(asked, "approve", by=SUE)
        answer = at.get("/console/learning/desk.jsonl", "olga")
        assert answer.headers["content-disposition"].endswith("desk.jsonl")
        assert [json.loads(line)["reason"] for line in answer.text.splitlines()] == expected
        assert len(looked) == 4
        assert max(looked) <= 2
        assert [one["reason"] for one in instances.examples()] == expected
        assert at.get("/console/learning/desk.jsonl", "foreign").text == ""
