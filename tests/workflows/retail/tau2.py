"""The retail shop and tasks of tau2-bench, read where they lie.

They are those of the repository sierra-research/tau2-bench at commit a2c0247 (MIT): the folder
`data/tau2/domains/retail`, with the tasks rewritten as `{id, request, calls, expected, last_variant_defect}` by running
the benchmark's own tools (`calls` are its correct calls with the error each gave, `expected` the whole records that
differ afterwards). `INTERLOCK_TAU2_DIR` names the folder that holds `db.json` and `tasks.json`; by default it is
`../shared/data/retail` beside the project's folder. Where it is absent, the tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from interlock.workflows.retail import calculator, lookups, operations
from interlock.workflows.retail.shop import Address, metadata

FOLDER = Path(
    os.environ.get("INTERLOCK_TAU2_DIR") or Path(__file__).resolve().parents[4] / "shared" / "data" / "retail"
)
PRESENT = (FOLDER / "db.json").is_file() and (FOLDER / "tasks.json").is_file()

needs_tau2 = pytest.mark.skipif(
    not PRESENT,
    reason=f"the tau2-bench retail data is not in {FOLDER}: set INTERLOCK_TAU2_DIR (sierra-research/tau2-bench, "
    "a2c0247)",
)


@cache
def shop_json() -> dict[str, Any]:
    """The benchmark's whole shop. Do not change it."""
    shop: dict[str, Any] = json.loads((FOLDER / "db.json").read_bytes())
    return shop


@cache
def tasks() -> list[dict[str, Any]]:
    """The benchmark's tasks, or none where the data is absent (so that tests can still be collected). Do not change
    them.
    """
    return json.loads((FOLDER / "tasks.json").read_bytes()) if PRESENT else []


def _address(arguments: dict[str, Any]) -> Address:
    return Address(**{field: arguments[field] for field in Address.model_fields})


def _without_address(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in Address.model_fields}


def _with_address(operation: Callable[..., Any]) -> Callable[..., Any]:
    def with_address(session: Session, **arguments: Any) -> Any:
        return operation(session, **_without_address(arguments), address=_address(arguments))

    return with_address


WRITES: dict[str, operations.Operation[Any, Any]] = {
    "cancel_pending_order": operations.cancel_order,
    "modify_pending_order_address": operations.modify_order_address,
    "modify_pending_order_items": operations.modify_order_items,
    "modify_pending_order_payment": operations.modify_order_payment,
    "modify_user_address": operations.modify_user_address,
    "return_delivered_order_items": operations.return_order_items,
    "exchange_delivered_order_items": operations.exchange_order_items,
}
"""The shop's operations by the benchmark's names."""


def _find_by_name(session: Session, **arguments: str) -> str:
    return lookups.find_customer_by_name(session, arguments["first_name"], arguments["last_name"], arguments["zip"])


def _calculate(_session: Session, expression: str) -> object:
    return calculator.calculate(expression)


def _hand_over(_session: Session, summary: str) -> None:
    """Handing over to a human changes nothing in the shop."""


READS: dict[str, Callable[..., Any]] = {
    "find_user_id_by_email": lookups.find_customer_by_email,
    "find_user_id_by_name_zip": _find_by_name,
    "get_user_details": lookups.get_user,
    "get_order_details": lookups.get_order,
    "get_product_details": lookups.get_product,
    "get_item_details": lookups.get_item,
    "list_all_product_types": lookups.list_product_types,
    "calculate": _calculate,
    "transfer_to_human_agents": _hand_over,
}


def call(session: Session, name: str, arguments: dict[str, Any], **more: Any) -> Any:
    """Carry out one of the benchmark's calls on the shop."""
    return adapted(name)(session, **arguments, **more)


def adapted(name: str) -> Callable[..., Any]:
    """The shop's function for one of the benchmark's names, taking the benchmark's arguments."""
    if name in WRITES:
        operation = WRITES[name]
        return _with_address(operation) if name.endswith("_address") else operation
    return READS[name]


def check(session: Session, name: str, arguments: dict[str, Any], **more: Any) -> str | None:
    """Ask whether one of the benchmark's writing calls could be carried out."""
    asked = WRITES[name].check
    if name.endswith("_address"):
        return _with_address(asked)(session, **arguments, **more)  # type: ignore[no-any-return]
    return asked(session, **arguments, **more)


def modified_item_ids(task: dict[str, Any]) -> frozenset[str]:
    """The items that a task shows with the benchmark's defect, where every modified item gets the price and options of
    the last.
    """
    if not task["last_variant_defect"]:
        return frozenset()
    calls = (call for call in task["calls"] if call["name"] == "modify_pending_order_items")
    return frozenset(item_id for call in calls for item_id in call["arguments"]["new_item_ids"])


def comparable(record: dict[str, Any], *, defective: frozenset[str] = frozenset()) -> Any:
    """A record as it is compared: amounts in whole cents, for the benchmark adds in binary fractions
    (0.04999999999999716), and without price and options of the items that carry the benchmark's defect.
    """
    plain = _cents(record)
    for item in plain.get("items", ()):
        if item["item_id"] in defective:
            del item["price"], item["options"]
    return plain


def _cents(value: Any) -> Any:
    match value:
        case float():
            assert abs(value * 100 - round(value * 100)) < 1e-6, f"{value} is no amount in cents"
            return round(value * 100)
        case dict():
            return {name: _cents(inner) for name, inner in value.items()}
        case list():
            return [_cents(inner) for inner in value]
    return value


Fingerprint = dict[tuple[str, Any], frozenset[Any]]


def fingerprint(session: Session | Connection) -> Fingerprint:
    """Every row of the shop, under the table and the user, order or product that it belongs to."""
    rows: dict[tuple[str, Any], set[Any]] = {}
    for table in metadata.sorted_tables:
        whose = "order_id" if "order_id" in table.c else "user_id" if "user_id" in table.c else "product_id"
        result = session.execute(text(f"SELECT {whose}, {table.name}.* FROM {table.name}"))
        for row in result:
            rows.setdefault((whose, row[0]), set()).add((table.name, row))
    return {key: frozenset(found) for key, found in rows.items()}


Snapshot = dict[str, list[Any]]


def snapshot(connection: Connection) -> Snapshot:
    """Every row of the shop as the driver gives it: what is compared thousands of times is not made into anything first."""
    found: Snapshot = {}
    for table in metadata.sorted_tables:
        order = ", ".join(column.name for column in table.primary_key)
        result = connection.exec_driver_sql(f"SELECT * FROM {table.name} ORDER BY {order}")
        assert result.cursor is not None
        found[table.name] = result.cursor.fetchall()
        result.close()
    return found
