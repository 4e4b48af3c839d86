"""A life at the door on every database: started, asked, granted, carried out, withdrawn, repeated, limited."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from interlock import Limits
from interlock.tools.errors import IdempotencyError, RevisionConflict
from tests.commands.approvals.support import BEN, RULE, Home, Shop
from tests.commands.proposals.support import CASE, code, door
from tests.support.databases import lent_database


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def home(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Home]:
    if request.param == "sqlite":
        home = Home.in_file(tmp_path)
        yield home
        home.close()
        return
    home = Home(lent_database(request, request.param))
    yield home
    home.close()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_every_kind_of_proposal_works_on_every_database(shop: Shop, home: Home, how: str) -> None:
    desk = door(home, shop, how=how, approval=RULE, limits=Limits(denials=2))
    assert desk.start() == desk.start()
    asked, gone = desk.asked(), desk.asked(key="ünö", amount="6")
    assert code(desk.withdraw(gone)) == "approval_withdrawn"
    assert code(desk.propose("order.cancel", revision=0, orderId="2")) == "ok"
    with pytest.raises(RevisionConflict):
        desk.propose("order.cancel", revision=0, orderId="3")
    with pytest.raises(IdempotencyError):
        desk.refund(amount="7")
    desk.graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)
    assert desk.tick().carried_out == [asked.pending.proposal_id]
    assert code(desk.refund()) == code(desk.proposal(asked)) == "ok"
    wrong = [code(desk.refund(key=f"{number}", amount="much")) for number in range(3)]
    assert wrong == ["invalid_arguments", "invalid_arguments", "limit_reached"]
    assert shop.ran == ["cancel 2", "refund 1 5"]
    assert desk.graph.engine.store.verify(CASE) == []
