"""`interlock serve --demo`: the demo's cases, each begun and waiting for its customer."""

from __future__ import annotations

from pathlib import Path

from interlock.cli.demo.served import open_demo
from tests.cli.support import run


def test_each_case_is_played_until_it_waits_for_its_customer_and_goes_on_where_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    with open_demo(url) as demo:
        asked = demo.graph.instances.approvals().approvals
        assert sorted(one.tool for one in asked) == ["order.cancel", "order.exchange_items"]
        assert {one.requester.id for one in asked} <= {one.id for one in demo.people}
        first = next(one for one in asked if one.tool == "order.cancel")
        customer = next(one for one in demo.people if one.id == first.requester.id)
        demo.graph.instances.decide(first.approval_id, "approve", by=customer)
        demo.graph.instances.follow(first.approval_id)
    with open_demo(url) as demo:
        assert [one.tool for one in demo.graph.instances.approvals().approvals] == ["order.exchange_items"]
        assert len(demo.graph.engine.store.instances()) == 4


def test_it_is_served_in_development_alone() -> None:
    done = run("serve", "--demo")
    assert done.exit_code == 2
    assert "--development" in done.output
