"""Results are read back from the wire, wherever they stand."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import CommandResult, ErrorResult, Principal, ReadResult, Workflow, command, parse_result
from interlock.tools.errors import InvalidInput

COMMON: dict[str, Any] = {
    "workflowId": "wf_1",
    "currentState": "queued",
    "revision": 3,
    "nextAllowedTools": ["queue.status"],
    "auditRef": "audit_1",
}
ERROR = {"code": "tool_not_allowed", "message": "no", "retryable": False, "details": {}}
RESULTS = [
    ({**COMMON, "ok": True, "previousState": "validated", "output": {"queueId": "q"}}, CommandResult),
    ({**COMMON, "schemaVersion": 1, "ok": True, "output": "paid"}, ReadResult),
    ({**COMMON, "ok": False, "error": ERROR}, ErrorResult),
    ({name: COMMON[name] for name in COMMON if name != "revision"} | {"ok": False, "error": ERROR}, ErrorResult),
]


@pytest.mark.parametrize(("value", "model"), RESULTS)
def test_a_result_is_read_as_what_it_is_and_written_as_it_was(value: dict[str, Any], model: type[Any]) -> None:
    for given in (value, json.dumps(value)):
        result = parse_result(given)
        assert type(result) is model
        assert result.to_json() == value


@pytest.mark.parametrize("value", [{}, None, "delivered", '{"output": 1}', "[1]", 3, {"ok": True}])
def test_what_is_no_result_is_none(value: Any) -> None:
    assert parse_result(value) is None


def test_a_result_that_does_not_fit_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="currentState: Field required"):
        parse_result({"ok": True, "auditRef": "a", "workflowId": "w", "nextAllowedTools": []})


class Line(BaseModel):
    unit_price: Decimal


class Order(BaseModel):
    order_id: str
    lines: tuple[Line, ...]


class Data(BaseModel):
    last_order: Order | None = None


@command("order.place", effect="transactional")
def place(order_id: str) -> Order:
    """Place an order."""
    return Order(order_id=order_id, lines=(Line(unit_price=Decimal("12.50")),))


def test_output_and_data_are_read_as_what_they_were_written_from() -> None:
    flow = Workflow("shop", data=Data).add_state("open").add_state("placed", final=True)
    graph = flow.add_edge("open", place, "placed").compile(in_memory=True)
    order = Order(order_id="W0", lines=(Line(unit_price=Decimal(1)),))
    ada = Principal("ada")
    graph.instances.start(principal=ada, workflow_id="shop-1", data={"last_order": order})

    result = graph.instances.propose("shop-1", place, {"orderId": "W1"}, principal=ada, key="1")

    assert isinstance(result, CommandResult)
    placed = result.output_as(place)
    assert isinstance(placed, Order)
    assert (placed.order_id, placed.lines[0].unit_price) == ("W1", Decimal("12.50"))
    assert result.output_as(Order) == placed == Order(order_id="W1", lines=(Line(unit_price=Decimal("12.50")),))
    assert graph.instances.snapshot("shop-1").data_as(Data).last_order == order

    with pytest.raises(InvalidInput, match="cannot be read as int: the value: Input should be a valid integer"):
        result.output_as(int)
