"""What claims rely on is enforced when a workflow runs: fields that are followed, starting values, guards and conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Principal, SQLCheckpointer, ToolContext, Workflow, command
from interlock.checkpointing.store import AuditKind
from interlock.rules.claims import always_possible, asked, at_most, final, guard_holds, never, never_forked, starts_with
from interlock.rules.claims import approval as approved
from interlock.rules.conditions import Add, field, has_role, one_of
from interlock.tools.errors import ClaimError, InputError, InvalidInput, WorkflowDefinitionError

ADA = Principal("ada")


class Data(BaseModel):
    exchanged: bool = False
    count: int = 0
    note: str = ""


def exchange(*, marks: bool = True, by: int = 1) -> Any:
    @command("order.exchange", effect="transactional")
    def body(ctx: ToolContext[Data]) -> str:
        """Exchange the items of an order."""
        ctx.data.note = "exchanged"
        ctx.data.exchanged = marks
        ctx.data.count += by
        return "done"

    return body


@command("case.close", effect="transactional")
def close() -> str:
    """Close the case."""
    return "closed"


def desk(tool: Any, **edge: Any) -> Workflow:
    flow = Workflow("claimed", data=Data)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", tool, "open", **edge)
    flow.add_edge("open", close, "closed")
    return flow


def run(flow: Workflow, path: Path, tool: str, *, data: dict[str, Any] | None = None, who: Principal = ADA) -> Any:
    graph = flow.compile(SQLCheckpointer(f"sqlite:///{path / 'claims.db'}"))
    config = {"configurable": {"thread_id": "t"}}
    graph.invoke({"messages": [("user", "begin")], "data": data or {}}, config, context=who)
    return graph, graph.instances.execute(config, tool, {}, principal=who)


ONCE = {"guard": field("exchanged").equals(False), "sets": {"exchanged": True, "count": Add(1)}}
COUNTED = {**ONCE, "guard": field("exchanged").equals(False) & field("count").below(5)}


def test_a_condition_over_the_data_offers_a_tool_as_often_as_is_proved(tmp_path: Path) -> None:
    flow = desk(exchange(), **COUNTED).claims(at_most("order.exchange", 1))

    graph, first = run(flow, tmp_path, "order.exchange")
    again = graph.instances.execute({"configurable": {"thread_id": "t"}}, "order.exchange", {}, principal=ADA)

    assert first["ok"]
    assert again["error"]["code"] == "guard_failed"


@pytest.mark.parametrize(
    ("broken", "expected"), [({"marks": False}, "True"), ({"by": 2}, "1"), ({"by": 0}, "1")], ids=str
)
def test_a_tool_that_changes_a_followed_field_otherwise_than_its_edge_says_is_refused(
    tmp_path: Path, broken: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph, answer = run(desk(exchange(**broken), **COUNTED), tmp_path, "order.exchange")

    assert answer["error"]["code"] == "invalid_output"
    assert (
        f"the edge open --order.exchange--> open says that it is {expected} afterwards" in caplog.text
    )  # the application's own mistake, not the model's
    snapshot = graph.instances.snapshot({"configurable": {"thread_id": "t"}})
    assert (snapshot.revision, dict(snapshot.data or {})["note"]) == (0, "")


def test_a_tool_may_change_what_nobody_follows(tmp_path: Path) -> None:
    _, answer = run(desk(exchange(marks=False, by=3)), tmp_path, "order.exchange")

    assert answer["ok"]


def test_a_change_to_one_of_several_values_is_any_of_them(tmp_path: Path) -> None:
    edge = {"guard": field("exchanged").is_in(False, True), "sets": {"exchanged": one_of(False, True)}}

    _, answer = run(desk(exchange(marks=False), **edge), tmp_path, "order.exchange")

    assert answer["ok"]


def test_a_condition_over_a_role_is_for_those_who_have_it(tmp_path: Path) -> None:
    flow = desk(exchange(), guard=has_role("agent"))

    _, answer = run(flow, tmp_path, "order.exchange")
    (tmp_path / "other").mkdir()
    _, other = run(flow, tmp_path / "other", "order.exchange", who=Principal("cy", roles=frozenset({"agent"})))

    assert answer["error"]["code"] == "guard_failed"
    assert other["ok"]


def test_a_start_with_other_values_than_the_claims_assume_is_refused(tmp_path: Path) -> None:
    flow = desk(exchange(), **ONCE | {"guard": field("count").below(2)})
    flow.claims(at_most("order.exchange", 2).assuming(starts_with(count=0)))

    with pytest.raises(InvalidInput, match="its claims are proved for 0"):
        run(flow, tmp_path, "order.exchange", data={"count": -7})


def test_an_instance_whose_claims_assume_no_forks_is_not_forked(tmp_path: Path) -> None:
    flow = desk(exchange(), **COUNTED).claims(always_possible(final).assuming(never_forked))
    graph, _ = run(flow, tmp_path, "order.exchange")

    with pytest.raises(InputError, match="never forked"):
        graph.instances.fork({"configurable": {"thread_id": "t"}}, thread_id="other", principal=ADA)


def test_a_guard_that_is_assumed_to_hold_lets_no_other_edge_be_taken_when_it_says_no(tmp_path: Path) -> None:
    def small(view: Any) -> bool:
        return False

    tool = exchange()
    flow = Workflow("claimed", data=Data)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", tool, "open", guard=small, approval=Approval(role="boss"), order=0)
    flow.add_edge("open", tool, "closed", order=1)
    flow.add_edge("open", close, "closed")
    flow.claims(never(tool).without(approved(role="boss")).assuming(guard_holds(small)))

    _, answer = run(flow, tmp_path, "order.exchange")

    assert answer["error"]["code"] == "guard_failed"


def test_a_condition_that_is_assumed_to_ask_always_asks(tmp_path: Path) -> None:
    def never_asks() -> bool:
        return False

    tool = exchange()
    flow = desk(tool, approval=Approval(role="boss", when=never_asks))
    flow.claims(never(tool).without(approved(role="boss")).assuming(asked(never_asks)))

    _, answer = run(flow, tmp_path, "order.exchange")

    assert answer["error"]["code"] == "approval_required"


def test_a_workflow_that_breaks_its_claim_does_not_compile_and_says_how() -> None:
    flow = desk(exchange()).claims(at_most("order.exchange", 1))

    with pytest.raises(ClaimError) as raised:
        flow.compile()

    assert "does not keep 1 of its 1 claims" in raised.value.message
    assert "2. in 'open': anybody calls order.exchange, nobody is asked" in raised.value.message


def test_the_record_of_an_instance_says_which_claims_its_version_was_proved_to_keep(tmp_path: Path) -> None:
    graph, _ = run(desk(exchange(), **COUNTED).claims(always_possible(final)), tmp_path, "order.exchange")

    (started, *_) = graph.instances.audit({"configurable": {"thread_id": "t"}})
    assert started.kind is AuditKind.STARTED
    assert started.payload is not None
    assert started.payload["claims"] == ["a final state is always possible"]


def test_a_new_claim_of_a_running_instance_is_in_its_record_with_what_it_assumes(tmp_path: Path) -> None:
    run(desk(exchange(), **COUNTED), tmp_path, "order.exchange")
    claimed = desk(exchange(), **COUNTED).claims(always_possible(final).assuming(never_forked))
    graph = claimed.compile(SQLCheckpointer(f"sqlite:///{tmp_path / 'claims.db'}"))
    config: Any = {"configurable": {"thread_id": "t"}}
    assert graph.instances.claims(config) == ()

    graph.instances.execute(config, "case.close", {}, principal=ADA)

    assert graph.instances.claims(config, by=ADA) == (
        "a final state is always possible, assuming that no instance is forked",
    )
    assert AuditKind.MIGRATION in {record.kind for record in graph.instances.audit(config)}


def test_a_fork_records_the_claims_of_the_version_that_it_begins_under(tmp_path: Path) -> None:
    graph, _ = run(desk(exchange(), **COUNTED).claims(always_possible(final)), tmp_path, "order.exchange")

    forked = graph.instances.fork({"configurable": {"thread_id": "t"}}, thread_id="other", principal=ADA)

    assert graph.instances.claims(forked) == ("a final state is always possible",)


@pytest.mark.parametrize("guard", [field("note").equals("x"), field("missing").equals(1)], ids=str)
def test_a_field_that_cannot_be_followed_is_refused_when_something_is_claimed(guard: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"note|missing"):
        desk(exchange(), guard=guard).claims(always_possible(final)).compile()
