"""What an approval is bound to: what was shown is what runs and what was judged, and nothing else runs on it."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel, Field

from interlock import (
    Allow,
    Approval,
    LimitPerRun,
    Mode,
    Policy,
    Principal,
    RequireApproval,
    Workflow,
    WorkflowStore,
    command,
    read,
)
from interlock.testing import ScriptedChatModel, call
from interlock.tools import ToolContract
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    RULE,
    Home,
    Shop,
    answers,
    asked,
    pending,
    refund,
    said,
    thread,
)

TWICE = Approval(role="supervisor", count=2)


def one_edge(contract: ToolContract, steps: list[Any], rule: Any = RULE, **options: Any) -> Workflow:
    flow = Workflow("desk", model=ScriptedChatModel(steps, forever="Done."), **options)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", contract, "closed", approval=rule)
    return flow


class TestEdits:
    def test_an_edit_is_void_when_its_preview_changed_since(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread(), context=ADA)
        edit = {"type": "edit", "args": {"orderId": "1", "amount": "4"}}
        graph.instances.decide(pending(graph, thread()), edit, by=BEN)
        shop.balance = Decimal(1)

        output = graph.invoke(None, thread(), context=ADA)

        assert answers(output) == ["approval_void"]
        assert shop.ran == []

    @pytest.mark.parametrize("amount", ["5", "4"], ids=["that changes nothing", "that changes something"])
    def test_an_edit_is_previewed_anew_for_the_next_to_decide(self, shop: Shop, home: Home, amount: str) -> None:
        graph = home.compile(shop.workflow([refund()], approval=TWICE))
        graph.invoke(said(), thread(), context=ADA)
        edit = {"type": "edit", "args": {"orderId": "1", "amount": amount}}
        graph.instances.decide(pending(graph, thread()), edit, by=BEN)

        (shown,) = asked(graph.invoke(None, thread(), context=ADA))
        graph.instances.decide(pending(graph, thread()), "approve", by=CAT)
        graph.invoke(None, thread(), context=ADA)

        assert shown["preview"] == {"balance": {"from": "100", "to": str(100 - int(amount))}}
        assert shop.ran == [f"refund 1 {amount}"]

    def test_an_edited_read_runs_as_it_was_edited(self, home: Home) -> None:
        ran: list[str] = []

        @read("account.show")
        def show(account: str) -> str:
            """Show an account."""
            ran.append(account)
            return account

        graph = home.compile(one_edge(show, [call("account.show", account="1")]))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), {"type": "edit", "args": {"account": "2"}}, by=BEN)
        graph.invoke(None, thread(), context=ADA)

        assert ran == ["2"]


class Asking(Policy):
    """Asks for an approval, with a reason that a test changes."""

    def __init__(self) -> None:
        self.reason = "it is much"

    name = "asking"

    def judge(self, proposal: Any) -> Any:
        return RequireApproval(RULE, self.reason) if self.reason else Allow()


class Versioned(Policy):
    """Allows everything, and says which version of it does."""

    name = "versioned"

    def __init__(self, version: int) -> None:
        self.version = version

    def judge(self, proposal: Any) -> Any:
        return Allow()


class TestWhatItIsBoundTo:
    def changed(self, before: ToolContract, after: ToolContract, home: Home, **options: Any) -> dict[str, Any]:
        """Approve under one definition, and run on under another."""
        graph = home.compile(one_edge(before, [call("order.note", text="a")]))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        later = home.compile(one_edge(after, [], **options))
        return dict(later.invoke(None, thread(), context=ADA))

    @staticmethod
    def note(annotation: Any = str, doc: str = "Add a note.", **options: Any) -> ToolContract:
        def add(text: Any) -> str:
            return str(text)

        add.__doc__, add.__annotations__ = doc, {"text": annotation, "return": str}
        return command("order.note", **{"effect": "idempotent", **options})(add)

    def test_a_reworded_description_does_not_void_an_approval(self, home: Home) -> None:
        described = Annotated[str, Field(description="What to write.", examples=["x"], title="Text")]

        output = self.changed(self.note(), self.note(described, "Add a note to an order.\n\nAnd mind the words."), home)

        assert answers(output) == ["ok"]

    @pytest.mark.parametrize(
        "after",
        [
            pytest.param({"effect": "at_most_once"}, id="another effect"),
            pytest.param({"version": 2}, id="another version"),
            pytest.param({"annotation": Annotated[str, Field(max_length=5)]}, id="another schema"),
            pytest.param({"annotation": str | int}, id="a wider schema"),
            pytest.param({"preview": lambda text: text}, id="a preview"),
        ],
    )
    def test_a_changed_contract_voids_an_approval(self, home: Home, after: dict[str, Any]) -> None:
        assert answers(self.changed(self.note(), self.note(**after), home)) == ["approval_void"]

    def test_an_approval_from_a_dry_run_is_void_in_live_mode(self, home: Home) -> None:
        """Who approved in a dry run was told that nothing would be carried out."""
        graph = home.compile(one_edge(self.note(), [call("order.note", text="a")], mode=Mode.DRY_RUN))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)

        output = home.compile(one_edge(self.note(), [])).invoke(None, thread(), context=ADA)

        assert answers(output) == ["approval_void"]

    @pytest.mark.parametrize(
        ("before", "after", "answer"),
        [
            pytest.param({"policies": [Versioned(1)]}, {"policies": [Versioned(1)]}, "ok", id="the same"),
            pytest.param({"policies": [Versioned(1)]}, {"policies": [Versioned(2)]}, "approval_void", id="its version"),
            pytest.param({"policies": [Versioned(1)]}, {"policies": []}, "approval_void", id="one that is gone"),
            pytest.param({"policies": []}, {"policies": [Versioned(1)]}, "approval_void", id="one that is new"),
            pytest.param(
                {"policies": [LimitPerRun(5, ["order.note"])]},
                {"policies": [LimitPerRun(5, ["order.note"])]},
                "ok",
                id="the same limit",
            ),
            pytest.param(
                {"policies": [LimitPerRun(5, ["order.note"])]},
                {"policies": [LimitPerRun(6, ["order.note"])]},
                "approval_void",
                id="another limit",
            ),
        ],
    )
    def test_a_changed_policy_voids_an_approval_even_if_it_allows_the_call(
        self, home: Home, before: dict[str, Any], after: dict[str, Any], answer: str
    ) -> None:
        graph = home.compile(one_edge(self.note(), [call("order.note", text="a")], **before))
        graph.invoke(said(), thread(), context=ADA)
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)

        output = home.compile(one_edge(self.note(), [], **after)).invoke(None, thread(), context=ADA)

        assert answers(output) == [answer]

    @pytest.mark.parametrize("reason", ["it is more", ""], ids=["another reason", "no reason any more"])
    def test_a_changed_reason_voids_an_approval_and_a_missing_one_does_not(self, home: Home, reason: str) -> None:
        policy = Asking()
        graph = home.compile(one_edge(self.note(), [call("order.note", text="a")], rule=None, policies=[policy]))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        graph.instances.decide(pending(graph, thread()), "approve", by=BEN)
        policy.reason = reason

        output = graph.invoke(None, thread(), context=ADA)

        assert shown["reasons"] == ["asking: it is much"]
        assert answers(output) == (["approval_void"] if reason else ["ok"])

    def test_an_approval_is_not_used_for_another_proposer(self, home: Home) -> None:
        graph = home.compile(one_edge(self.note(), [call("order.note", text="a")], run_by="tenant"))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        key = graph.engine.store.approval(approval_id).idempotency_key

        other = Principal("eve", roles={"supervisor"})  # type: ignore[arg-type]
        result = graph.instances.execute(thread(), "order.note", {"text": "a"}, principal=other, idempotency_key=key)

        assert result["ok"] is False

    def test_a_read_runs_once_on_its_approval(self, home: Home) -> None:
        ran: list[str] = []

        @read("account.show")
        def show(account: str) -> str:
            """Show an account."""
            ran.append(account)
            return account

        flow = Workflow("desk", model=ScriptedChatModel([call("account.show", account="1")], forever="Done."))
        flow.add_state("open")
        flow.add_state("shown", final=True)
        flow.add_edge("open", show, "open", approval=RULE)
        flow.add_edge("open", self.note(), "shown")
        graph = home.compile(flow)
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BEN)
        graph.invoke(None, thread(), context=ADA)
        approval = graph.engine.store.approval(approval_id)

        again = graph.instances.execute(
            thread(), "account.show", {"account": "1"}, principal=ADA, idempotency_key=approval.idempotency_key
        )

        assert approval.status == "used"
        assert ran == ["1"]
        assert again["ok"] is False


class Booking(BaseModel):
    room: str
    number: int = Field(default_factory=itertools.count(1).__next__)


class TestDefaultsThatDifferEachTime:
    def booked(self, ran: list[Any]) -> ToolContract:
        @command("room.book", effect="idempotent")
        def book(
            booking: Booking, at: Annotated[int, Field(default_factory=itertools.count(100).__next__)], nights: int = 1
        ) -> str:
            """Book a room."""
            ran.append((booking.number, at, nights))
            return booking.room

        return book

    def test_what_was_shown_runs_in_a_graph(self, home: Home) -> None:
        ran: list[Any] = []
        graph = home.compile(one_edge(self.booked(ran), [call("room.book", booking={"room": "7"})]))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))

        graph.invoke(Command(resume="approve"), thread(), context=BEN)

        assert ran == [(shown["arguments"]["booking"]["number"], shown["arguments"]["at"], 1)]

    def test_what_was_shown_runs_in_an_agent(self) -> None:
        ran: list[Any] = []
        middleware = one_edge(self.booked(ran), []).as_middleware(workflow_store=WorkflowStore.in_memory())
        model = ScriptedChatModel([call("room.book", booking={"room": "7"})], forever="Done.")
        agent: Any = create_agent(
            model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
        )
        (shown,) = asked(agent.invoke(said(), thread(), context=ADA))

        agent.invoke(Command(resume="approve"), thread(), context=BEN)

        assert ran == [(shown["arguments"]["booking"]["number"], shown["arguments"]["at"], 1)]

    def test_the_same_key_gives_the_stored_result_again(self, home: Home) -> None:
        ran: list[Any] = []
        graph = home.compile(one_edge(self.booked(ran), [], rule=None))
        graph.invoke(said(), thread(), context=ADA)
        arguments = {"booking": {"room": "7"}}

        def execute(**more: Any) -> Any:
            given = {**arguments, **more}
            return graph.instances.execute(thread(), "room.book", given, principal=ADA, idempotency_key="k-1")

        first, again = execute(), execute()

        assert len(ran) == 1
        assert again["auditRef"] == first["auditRef"]
        from interlock.tools import IdempotencyError

        with pytest.raises(IdempotencyError):
            execute(nights=2)


class TestRulesThatChangeWhatTheyLookAt:
    @pytest.mark.parametrize("role", ["check", "preview", "when", "policy"])
    def test_the_executed_call_is_the_shown_one(self, home: Home, role: str) -> None:
        ran: list[list[str]] = []

        def spoil(items: list[str]) -> bool:
            items.append("poison")
            return True

        class Spoiling(Policy):
            def judge(self, proposal: Any) -> Any:
                proposal.arguments["items"].append("poison")
                return Allow()

        options: dict[str, Any] = {role: spoil} if role in {"check", "preview"} else {}

        @command("order.add", effect="idempotent", **options)
        def add(items: list[str]) -> int:
            """Add items."""
            ran.append(items)
            return len(items)

        rule = Approval(role="supervisor", when=spoil) if role == "when" else RULE
        flow = one_edge(
            add,
            [call("order.add", items=["a"])],
            rule=rule,
            policies=[Spoiling()] if role == "policy" else [],
        )
        graph = home.compile(flow)
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        graph.invoke(Command(resume="approve"), thread(), context=BEN)

        assert shown["arguments"] == {"items": ["a"]}
        assert ran == [["a"]]

    def test_an_attempt_that_is_made_again_begins_with_the_same_arguments(self, home: Home) -> None:
        from interlock import RetryPolicy

        ran: list[list[str]] = []

        @command("order.add", effect="idempotent", retry=RetryPolicy(attempts=2, initial=0.0))
        def add(items: list[str]) -> int:
            """Add items."""
            ran.append([*items])
            items.append("more")
            if len(ran) == 1:
                raise TimeoutError
            return len(items)

        graph = home.compile(one_edge(add, [call("order.add", items=["a"])], rule=None))
        graph.invoke(said(), thread(), context=ADA)

        assert ran == [["a"], ["a"]]
