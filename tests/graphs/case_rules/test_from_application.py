"""What only the application knows: a model is neither offered it nor able to give it; it is typed, shown, bound and recorded."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel, Field, SecretStr

from interlock import (
    Approval,
    FromApplication,
    FromDecision,
    GuardView,
    Principal,
    Refused,
    ToolContext,
    Workflow,
    command,
    read,
)
from interlock.checkpointing.store import ledger as ledger_rows
from interlock.testing import ScriptedChatModel, call, drop, injected
from interlock.tools.errors import ContractError, InterlockError
from tests.graphs.case_rules.support import ANN, WAYS, Case, Place, codes, results

MIA = Principal("mia")
ON_PHONE = Principal("ann", attributes={"channel": "phone"})
REFUND = call("order.refund", amount=40)


class Desk(BaseModel):
    fee: int = 5
    done: str | None = None


def channel(view: GuardView) -> Any:
    return view.principal.attributes.get("channel", "chat")


def fee(amount: int, view: GuardView, ctx: ToolContext) -> Any:
    assert ctx.session is not None or amount < 0
    return view.data.fee + amount // 10


def shown(amount: int, fee: int) -> str:
    return f"{amount - fee} is paid"


Channel = Annotated[str, FromApplication(channel)]
Fee = Annotated[int, Field(ge=0), FromApplication(fee)]


@command("order.refund", effect="transactional", preview=shown)
def refund(amount: int, fee: Fee, ctx: ToolContext[Desk], came_by: Channel = "nowhere") -> str:
    """Refund an order."""
    ctx.data.done = f"{amount} less {fee} by {came_by}"
    return ctx.data.done


@command("desk.price", effect="transactional")
def price(to: int, ctx: ToolContext[Desk]) -> int:
    """Change what a refund costs."""
    ctx.data.fee = to
    return to


def flow(model: ScriptedChatModel, rule: Approval | None = None, tool: Any = refund) -> Workflow:
    made = Workflow("refunds", model=model, data=Desk)
    made.add_state("open")
    made.add_edge("open", tool, "open", approval=rule)
    made.add_edge("open", price, "open")
    return made


def asking(model: ScriptedChatModel) -> Workflow:
    return flow(model, Approval(by="mia"))


def _asked(case: Case, by: Principal = ANN) -> Any:
    if case.way == "door":
        case.begin()
        case.propose("order.refund", "r-1", by=by, amount=40)
    else:
        case.say(by=by)
    return case.waiting()[0]


def _go_on(case: Case, approval_id: str) -> None:
    if case.way == "graph":
        case.instances.resume(case.config)
    else:
        case.instances.proposal(approval_id)


def test_a_model_is_not_offered_it_and_cannot_give_it(file: Place) -> None:
    offered: Any = refund.tool_definition()["function"]["parameters"]
    assert [*offered["properties"]] == ["amount"]
    assert offered["required"] == ["amount"]
    assert [*refund.to_wire().input_schema["properties"]] == ["amount"]  # type: ignore[misc]
    forged = [{"fee": 0}, {"cameBy": "phone"}, {"came_by": "phone"}, {"fee": None}]
    case = file.open(flow, [call("order.refund", amount=40, **one) for one in forged])
    output = case.say()
    assert codes(output) == ["invalid_arguments"] * 4
    assert "only the application supplies" in results(output)[0]["error"]["message"]
    assert case.row.data["done"] is None


@pytest.mark.parametrize("way", WAYS)
def test_nobody_can_give_it_through_any_door(way: str, file: Place) -> None:
    case = file.open(flow, [call("order.refund", amount=40, fee=0)], way=way)
    if way == "door":
        case.begin()
        assert case.propose("order.refund", "r-1", amount=40, fee=0).error.code == "invalid_arguments"
        assert case.propose("order.refund", "r-2", amount=40, cameBy="x").error.code == "invalid_arguments"
    else:
        assert codes(case.say()) == ["invalid_arguments"]
    assert case.row.data["done"] is None


@pytest.mark.parametrize("way", WAYS)
def test_the_application_supplies_it_where_the_call_is_judged(way: str, home: Place) -> None:
    case = home.open(flow, [REFUND], way=way)
    if way == "door":
        case.begin()
        assert case.propose("order.refund", "r-1", by=ON_PHONE, amount=40).ok
    else:
        case.say(by=ON_PHONE)
    assert case.row.data["done"] == "40 less 9 by phone"
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "transition"]
    assert record.payload["arguments"] == {"amount": 40, "fee": 9, "cameBy": "phone"}
    with case.engine.store.read() as connection:
        (entry,) = ledger_rows.completed_with(connection, case.id, "order.refund", {})
    assert entry == {"amount": 40, "fee": 9, "cameBy": "phone"}


@pytest.mark.parametrize("way", WAYS)
def test_an_approval_shows_it_and_is_bound_to_it_across_a_restart(way: str, home: Place) -> None:
    case = home.open(asking, [REFUND], way=way)
    request = _asked(case, ON_PHONE)
    assert request.effective_arguments == {"amount": 40, "fee": 9, "cameBy": "phone"}
    shown = case.instances.approval(request.approval_id)
    assert (shown["supplied"], shown["preview"]) == (["fee", "cameBy"], "31 is paid")
    assert "Supplied by the application" in shown["action_requests"][0]["description"]
    assert "fee, cameBy" in str(case.instances.card(request.approval_id, by=MIA))
    again = home.open(asking, [], way=way)
    if way == "middleware":
        again.graph.invoke(Command(resume="approve"), again.config, context=MIA)
    else:
        case.instances.decide(request.approval_id, "approve", by=MIA)
        _go_on(again, request.approval_id)
    assert again.row.data["done"] == "40 less 9 by phone"


@pytest.mark.parametrize("way", ["graph", "door"])
def test_an_approval_is_void_when_it_would_be_another_value_now(way: str, home: Place) -> None:
    case = home.open(asking, [REFUND], way=way)
    request = _asked(case)
    case.instances.execute(case.id, "desk.price", {"to": 20}, principal=ANN)
    case.instances.decide(request.approval_id, "approve", by=MIA)
    _go_on(case, request.approval_id)
    assert case.row.data["done"] is None
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "void"]
    assert "what the application supplies (fee) changed" in record.payload["problem"]


def test_an_edit_neither_loses_nor_changes_it_and_is_judged_with_what_the_application_says_then(file: Place) -> None:
    case = file.open(asking, [REFUND])
    request = _asked(case)
    for arguments in ({"amount": 40, "fee": 0}, {"amount": 40, "cameBy": "phone"}, {"amount": 40, "came_by": None}):
        with pytest.raises(InterlockError, match="only the application supplies"):
            case.instances.decide(request.approval_id, {"type": "edit", "args": arguments}, by=MIA)
    answer = {"type": "edit", "args": {"amount": 90, "fee": 9}}  # what was shown, with another amount
    case.instances.decide(request.approval_id, answer, by=MIA)
    assert case.instances.approval(request.approval_id)["arguments"] == {"amount": 90, "fee": 14, "cameBy": "chat"}
    case.instances.resume(case.config)
    assert case.row.data["done"] == "90 less 14 by chat"


def _refunding(supply: Any, type_: Any = int) -> Any:
    def refund(amount: int, fee: Any, ctx: ToolContext[Desk]) -> str:
        """Refund an order."""
        ctx.data.done = f"{amount} less {fee}"
        return ctx.data.done

    refund.__annotations__["fee"] = Annotated[type_, FromApplication(supply)]
    return command("order.refund", effect="transactional")(refund)


def _raises(view: GuardView) -> int:
    raise ValueError("the price list cannot be read")


@pytest.mark.parametrize(
    ("supply", "said"),
    [
        (_raises, "raised ValueError"),
        (lambda view: "9", "gave a str that does not fit"),
        (lambda view: 9.5, "gave a float that does not fit"),
        (lambda view: True, "gave a bool that does not fit"),
        (lambda view: None, "gave None"),
        (lambda view: object(), "no JSON form"),
        (lambda view: view.data.nothing_of_that_name, "raised AttributeError"),
    ],
)
def test_a_function_that_raises_or_gives_something_else_denies_the_call(supply: Any, said: str, file: Place) -> None:
    case = file.open(lambda model: flow(model, Approval(by="mia"), _refunding(supply)), [REFUND])
    output = case.say()
    assert codes(output) == ["rule_error"]
    assert said in results(output)[0]["error"]["message"]
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "denial"]
    assert said in record.payload["error"]["message"]
    assert record.payload["error"]["details"]["rule"].startswith("the supplier")
    assert (case.waiting(), case.row.data["done"]) == ([], None)


@pytest.mark.parametrize("hidden", [SecretStr("9 EUR"), "***", "*"])
def test_a_value_that_hides_itself_is_not_taken_for_what_it_hides(hidden: Any, file: Place) -> None:
    case = file.open(lambda model: flow(model, Approval(by="mia"), _refunding(lambda view: hidden, str)), [REFUND])
    output = case.say()
    assert codes(output) == ["rule_error"]
    assert "which hides its value" in results(output)[0]["error"]["message"]
    assert case.row.data["done"] is None


def test_the_application_may_refuse_with_its_reason(file: Place) -> None:
    def unknown(view: GuardView) -> int:
        raise Refused("nobody is signed in")

    case = file.open(lambda model: flow(model, None, _refunding(unknown)), [REFUND])
    output = case.say()
    assert codes(output) == ["check_failed"]
    assert "nobody is signed in" in results(output)[0]["error"]["message"]


def test_a_supplied_none_is_a_value_if_the_type_allows_it_and_else_the_default(file: Place) -> None:
    case = file.open(lambda model: flow(model, None, _refunding(lambda view: None, int | None)), [REFUND])
    case.say()
    assert case.row.data["done"] == "40 less None"


def test_the_same_call_again_is_answered_from_the_ledger_though_the_value_is_another_now(home: Place) -> None:
    case = home.open(flow, [], way="door")
    case.begin()
    first = case.propose("order.refund", "r-1", amount=40)
    case.propose("desk.price", "p-1", to=50)
    again = home.open(flow, [], way="door").propose("order.refund", "r-1", amount=40)
    assert (again.output, again.replayed) == (first.output, True)
    with pytest.raises(InterlockError, match="other arguments"):
        case.propose("order.refund", "r-1", amount=41)


def test_it_may_be_sensitive_and_is_then_in_no_record(home: Place) -> None:
    @command("card.charge", effect="transactional", sensitive=["token"])
    def charge(token: Annotated[str, FromApplication(lambda view: f"tok-{view.principal.id}-81")], cents: int) -> int:
        """Charge the card on file."""
        assert token == "tok-ann-81"
        return cents

    def charging(model: ScriptedChatModel) -> Workflow:
        made = Workflow("cards", model=model)
        made.add_state("open")
        made.add_edge("open", charge, "open")
        return made

    case = home.open(charging, [], way="door")
    case.begin()
    assert case.propose("card.charge", "c-1", cents=7).ok
    assert case.propose("card.charge", "c-1", cents=7).replayed
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "transition"]
    assert record.payload["arguments"] == {"token": "***", "cents": 7}


def test_a_read_looks_only_at_what_is_theirs(file: Place) -> None:
    @read("orders.list")
    def orders(of: Annotated[str, FromApplication(lambda view: view.principal.id)], newest: int = 1) -> list[str]:
        """List the orders of whoever asks."""
        return [f"{of}-{number}" for number in range(newest)]

    def reading(model: ScriptedChatModel) -> Workflow:
        made = Workflow("orders", model=model, data=Desk)
        made.add_state("open")
        made.add_edge("open", orders, "open")
        made.add_edge("open", price, "open")
        return made

    case = file.open(reading, [call("orders.list", newest=2), call("orders.list", of="bob")])
    output = case.say()
    assert codes(output) == ["ok", "invalid_arguments"]
    assert results(output)[0]["output"] == ["ann-0", "ann-1"]


def test_a_whole_model_takes_it_and_what_is_supplied_goes_by_the_store_clock(file: Place) -> None:
    class Given(BaseModel):
        amount: int
        at: Annotated[dt.datetime, FromApplication(lambda view: view.now)]

    @command("order.note", effect="transactional", input_model=Given)
    def note(given: Given, ctx: ToolContext[Desk]) -> str:
        """Note an amount."""
        ctx.data.done = f"{given.amount} at {given.at:%H:%M}"
        return ctx.data.done

    case = file.open(lambda model: flow(model, None, note), [call("order.note", amount=3)])
    file.clock.advance(hours=2)
    case.say()
    assert case.row.data["done"] == f"3 at {file.clock.now:%H:%M}"


def test_policies_and_the_order_of_edges_see_it(file: Place) -> None:
    def once(model: ScriptedChatModel) -> Workflow:
        made = Workflow("refunds", model=model, data=Desk)
        made.add_state("open")
        made.add_edge("open", refund, "open", once_per="came_by")
        return made

    case = file.open(once, [], way="door")
    case.begin()
    assert case.propose("order.refund", "r-1", by=ON_PHONE, amount=40).ok
    assert case.propose("order.refund", "r-2", by=ON_PHONE, amount=50).error.code == "check_failed"
    assert case.propose("order.refund", "r-3", amount=50).ok


def test_a_marker_that_cannot_work_makes_no_contract() -> None:
    async def later(view: GuardView) -> int:
        return 1

    def others(somebody: str) -> int:
        return len(somebody)

    for marker, said in (
        (FromApplication, "no function"),
        (FromApplication(None), "no function"),  # type: ignore[arg-type]
        (FromApplication(later), "async"),
        (FromApplication(others), "somebody"),
    ):
        with pytest.raises(ContractError, match=said):
            _refunding_with(Annotated[int, marker])
    with pytest.raises(ContractError, match="take one of the two"):
        _refunding_with(Annotated[int, FromDecision(), FromApplication(lambda view: 1)])


def _refunding_with(annotation: Any) -> Any:
    def refund(amount: int, fee: Any) -> int:
        """Refund an order."""
        return amount - fee

    refund.__annotations__["fee"] = annotation
    return command("order.refund", effect="transactional")(refund)


def test_an_attempt_that_broke_off_is_repeated_with_what_was_supplied_to_it(home: Place) -> None:
    sent: list[str] = []

    @command("letter.send", effect="idempotent")
    def send(to: str, stamp: Annotated[int, FromApplication(lambda view: view.now.hour)]) -> int:
        """Send a letter."""
        sent.append(f"{to} {stamp}")
        return stamp

    def sending(model: ScriptedChatModel) -> Workflow:
        made = Workflow("letters", model=model, data=Desk)
        made.add_state("open")
        made.add_edge("open", send, "open")
        return made

    case = home.open(sending, [], way="door")
    case.begin()
    with injected(drop("effect.after", error=KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
        case.propose("letter.send", "l-1", to="ann")
    home.clock.advance(hours=1)
    done = home.open(sending, [], way="door").propose("letter.send", "l-1", to="ann")
    first = home.clock.now.hour - 1
    assert (done.output, sent) == (first, [f"ann {first}"] * 2)
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "transition"]
    assert record.payload["arguments"] == {"to": "ann", "stamp": first}
