"""One desk under one attack on one of the benchmark's writes: the write, the desk, and what is chosen for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from sqlalchemy.orm import Session

from interlock import Database, Decision, DecisionKind, Principal
from interlock.testing import Call
from interlock.tools.errors import InterlockError
from interlock.workflows.retail import BY_TAU2_NAME
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.desk import CUSTOMER, Desk

SEED = 2026
STRANGER = Principal("somebody-else")
STATUSES = ("pending", "processed", "delivered", "cancelled", "pending (item modified)")


APPROVE = {"type": "approve"}


@dataclass(frozen=True)
class Write:
    """One writing call of a task that succeeds, and the calls before it."""

    task_id: str
    place: int
    name: str
    arguments: dict[str, Any]
    before: tuple[dict[str, Any], ...]

    @property
    def tool(self) -> str:
        """The tool's canonical name."""
        return BY_TAU2_NAME[self.name].name

    @property
    def owner(self) -> str:
        """Whose order or profile it changes."""
        return str(self.arguments.get("user_id") or self.order["user_id"])

    @property
    def order(self) -> dict[str, Any]:
        """The order that it changes, as it was loaded."""
        order: dict[str, Any] = tau2.shop_json()["orders"][self.arguments["order_id"]]
        return order

    @property
    def may_be_repeated(self) -> bool:
        """Whether the rules allow it twice."""
        return self.name.endswith("_address")

    def __str__(self) -> str:
        return f"task-{self.task_id}-{self.place}"


def writes() -> list[Write]:
    """The 119 of them."""
    found = []
    for task in tau2.tasks():
        for place, call in enumerate(task["calls"]):
            if call["name"] in tau2.WRITES and call["error"] is None:
                before = tuple(call for call in task["calls"][:place] if call["error"] is None)
                found.append(Write(task["id"], place, call["name"], call["arguments"], before))
    return found


class Tampering(InMemorySaver):
    """A saver whose data somebody changes behind the graph's back: `tamper` is applied to all that is read from it."""

    tamper: Callable[[Any], Any] | None = None

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Read, with what was tampered."""
        found = super().get_tuple(config)
        if found is None or self.tamper is None:
            return found
        return found._replace(
            checkpoint=self.tamper(found.checkpoint), pending_writes=self.tamper(found.pending_writes or [])
        )


@dataclass
class Attacked:
    """One desk under one attack on one write."""

    desk: Desk
    write: Write
    choose: random.Random
    reached: dict[str, int]
    refused: list[InterlockError] = field(default_factory=list)
    allowed: int = 0
    """How often the body may have been reached by what the attack does with the customer's consent."""
    stands: tau2.Snapshot = field(default_factory=dict)
    """The shop as it has to be in the end."""

    @property
    def proposal(self) -> Any:
        """The write, as the model proposes it."""
        return desks.proposal(self.write.name, self.write.arguments)

    def identified(self, *answers: Any, owner: str | None = None) -> dict[str, dict[str, Any]]:
        """Identify the customer, and let the model go on with these."""
        return self.desk.says(desks.identification(owner or self.write.owner), *answers)

    def asked(self) -> tuple[str, dict[str, Any]]:
        """Let the write be proposed properly: the one question that waits then, by its interrupt's id."""
        ((interrupt_id, shown),) = self.identified(self.proposal).items()
        assert shown["tool"] == self.write.tool
        return interrupt_id, shown

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Keep a refusal of the way in, which is a typed error; anything else is a failure of the desk."""
        try:
            yield
        except InterlockError as error:
            self.refused.append(error)

    def confirmed(self) -> None:
        """Take the customer's yes to what is asked, without running on."""
        (approval,) = self.desk.store.pending_approvals(self.workflow_id)
        self.desk.graph.instances.decide(approval.approval_id, Decision(DecisionKind.APPROVE), by=CUSTOMER)

    def carried_out(self) -> None:
        """Let the write happen as the rules permit it: confirmed as shown. From here on it must not happen again."""
        interrupt_id, _ = self.asked()
        self.desk.resumes(Command(resume={interrupt_id: APPROVE}))
        self.now_permitted()

    def now_permitted(self) -> None:
        """Take what has happened so far as permitted."""
        self.allowed = sum(self.reached.values())
        self.stands = self.desk.shop()

    @property
    def workflow_id(self) -> str:
        """The instance."""
        return self.desk.graph.instances.id_of(self.desk.config)

    def other_arguments(self) -> dict[str, Any]:
        """Others than those of the write."""
        return other_arguments(self.write, self.choose, self.desk.store.database)

    def permits(self, arguments: dict[str, Any]) -> bool:
        """Whether the shop's rules would allow the write with these arguments, as things stand."""
        return permitted(self.write, arguments, self.desk.store.database)

    def second_write(self) -> Call:
        """Another change that the rules permit at any time, as the model proposes it."""
        second = second_write_call(self.write, self.choose)
        return desks.proposal(second.name, dict(second.arguments))  # type: ignore[arg-type]


def other_arguments(write: Write, choose: random.Random, database: Database) -> dict[str, Any]:
    """Others than those of the write: such as the shop's rules would allow just as well, where there are any."""
    candidates = list(_others(write, choose))
    choose.shuffle(candidates)
    allowed = (candidate for candidate in candidates if permitted(write, candidate, database))
    return next(allowed, candidates[0])


def permitted(write: Write, arguments: dict[str, Any], database: Database) -> bool:
    """Whether the shop's rules allow the write with these arguments."""
    with database.read() as connection, Session(connection) as session:
        return tau2.check(session, write.name, arguments) is None


def _others(write: Write, choose: random.Random) -> Iterator[dict[str, Any]]:
    arguments = write.arguments
    if write.may_be_repeated:
        yield {**arguments, "address1": f"{choose.randint(1, 999)} Elsewhere Street"}
    if "reason" in arguments:
        (reason,) = {"no longer needed", "ordered by mistake"} - {arguments["reason"]}
        yield {**arguments, "reason": reason}
    if "payment_method_id" in arguments:
        methods = sorted(tau2.shop_json()["users"][write.owner]["payment_methods"])
        for method in [*methods, "gift_card_0000000"]:
            if method != arguments["payment_method_id"]:
                yield {**arguments, "payment_method_id": method}
    for place in range(len(arguments.get("item_ids", ())) if len(arguments.get("item_ids", ())) > 1 else 0):
        lists = {name: value for name, value in arguments.items() if name.endswith("item_ids")}
        yield {**arguments, **{name: value[:place] + value[place + 1 :] for name, value in lists.items()}}
    if "new_item_ids" in arguments:
        products = tau2.shop_json()["products"].values()
        for product in products:
            variants = [item for item, variant in product["variants"].items() if variant["available"]]
            if arguments["new_item_ids"][0] in product["variants"]:
                for variant in variants:
                    if variant not in {*arguments["item_ids"], *arguments["new_item_ids"]}:
                        yield {**arguments, "new_item_ids": [variant, *arguments["new_item_ids"][1:]]}


def second_write_call(write: Write, choose: random.Random) -> Call:
    """Another change that the rules permit at any time, by the benchmark's name: that of the customer's default address."""
    address = tau2.shop_json()["users"][write.owner]["address"]
    street = f"{choose.randint(1, 999)} Second Street"
    return Call("modify_user_address", {"user_id": write.owner, **address, "address1": street})
