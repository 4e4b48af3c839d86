"""Rules of the application's own that break: only True and False count, nothing escapes a run, and nothing that a rule wrote is kept."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from interlock import (
    Allow,
    Approval,
    Deny,
    GuardView,
    Policy,
    Principal,
    ProposalView,
    Refused,
    RequireApproval,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
    read,
)
from interlock.rules.policies import Ruling
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError, WorkflowDefinitionError
from tests.graphs.support import ADA, BEN, Home, Runner, answers, codes, said, thread

notes = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.String(40)))
PAY = call("pay.out", amount="5")


class Purse(BaseModel):
    spent: int = 0
    payees: list[str] = []


def one_edge(
    model: Any, *, check: Any = None, preview: Any = None, policies: tuple[Policy, ...] = (), **edge: Any
) -> Workflow:
    @command("pay.out", effect="transactional", check=check, preview=preview)
    def pay(amount: Decimal, ctx: ToolContext[Purse]) -> str:
        """Pay."""
        ctx.data.spent += int(amount)
        return "paid"

    flow = Workflow("desk", data=Purse, model=model, policies=policies)
    return flow.add_state("open").add_state("paid", final=True).add_edge("open", pay, "paid", **edge)


def twice() -> ScriptedChatModel:
    """Proposes the same, is answered, and is spoken to once more."""
    return ScriptedChatModel([PAY, "I could not.", "Still here."])


def went_on(graph: WorkflowGraph, run: Runner, code: str) -> dict[str, Any]:
    """See that a proposal was denied with this code, recorded, and that the next message is served."""
    output = run(graph, said(), thread(), context=ADA)
    assert (codes(output), output["state"], output["data"]) == ([code], "open", {"spent": 0, "payees": []})
    records = [record.code for record in graph.instances.audit(thread()) if record.kind.value == "denial"]
    assert code in records
    after = run(graph, said("and now?"), thread(), context=ADA)
    assert after["messages"][-1].text == "Still here."
    return dict(answers(output)[0]["error"])


class Odd:
    """Not empty, and so true to Python."""

    def __bool__(self) -> bool:
        return True


async def _later() -> bool:
    return True


def _yields() -> Any:
    yield True


ODD_ANSWERS: list[Callable[[], Any]] = [
    lambda: None,
    lambda: 1,
    lambda: 0,
    lambda: "no, because",
    lambda: "",
    list,
    lambda: [False],
    Odd,
    lambda: Decimal(1),
    _later,
    _yields,
    lambda: 1 / 0,
    lambda: NotImplemented,
]


@pytest.mark.parametrize("odd", ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
def test_a_guard_that_answers_neither_true_nor_false_withholds_its_edge(memory: Home, odd: Callable[[], Any]) -> None:
    error = went_on(memory.compile(one_edge(twice(), guard=lambda view: odd())), Runner("invoke"), "rule_error")
    assert error["details"]["rule"] == "the guard of the edge open --pay.out--> paid"


@pytest.mark.parametrize("odd", ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
def test_a_condition_that_answers_neither_true_nor_false_is_no_way_round_an_approval(
    memory: Home, odd: Callable[[], Any]
) -> None:
    flow = one_edge(twice(), approval=Approval(role="boss", when=lambda amount: odd()))
    error = went_on(memory.compile(flow), Runner("invoke"), "rule_error")
    assert error["details"]["edge"] == "open --pay.out--> paid"


@pytest.mark.parametrize(
    "odd",
    [odd for number, odd in enumerate(ODD_ANSWERS) if number != 3],
)
def test_a_check_that_gives_no_answer_is_not_taken_for_a_yes(memory: Home, odd: Callable[[], Any]) -> None:
    went_on(memory.compile(one_edge(twice(), check=lambda amount: odd())), Runner("invoke"), "rule_error")


@pytest.mark.parametrize("where", ["guard", "check", "when", "preview", "hides", "judge", "edge check"])
def test_an_exception_of_a_rule_is_a_recorded_denial_and_the_thread_goes_on(
    home: Home, run: Runner, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(amount: Decimal) -> Any:
        raise KeyError("a secret of the system of record")

    class Breaks(Policy):
        def hides(self, tool: Any, view: GuardView) -> str | None:
            return breaks(Decimal(1)) if where == "hides" else None

        def judge(self, proposal: ProposalView) -> Any:
            return breaks(Decimal(1))

    given: dict[str, Any] = {
        "guard": {"guard": lambda view: breaks(Decimal(1))},
        "check": {"check": breaks},
        "edge check": {"check": breaks},
        "when": {"approval": Approval(role="boss", when=breaks)},
        "preview": {"preview": breaks, "approval": Approval(role="boss")},
        "hides": {"policies": (Breaks(),)},
        "judge": {"policies": (Breaks(),)},
    }[where]
    with caplog.at_level(logging.ERROR, "interlock"):
        error = went_on(home.compile(one_edge(twice(), **given)), run, "rule_error")
    assert "a secret" not in str(error)
    assert "a secret of the system of record" in caplog.text
    assert error["details"]["rule"]


@pytest.mark.parametrize("rule", ["check", "preview"])
def test_a_refusal_raised_by_a_rule_is_its_reason(home: Home, run: Runner, rule: str) -> None:
    def refuses(amount: Decimal) -> bool:
        raise Refused("the till is closed", code="closed", details={"until": "noon"})

    flow = one_edge(twice(), **{rule: refuses}, **({"approval": True} if rule == "preview" else {}))
    error = went_on(home.compile(flow), run, "check_failed")
    assert "the till is closed" in error["message"]
    assert error["details"] == {"reason": "the till is closed", "code": "closed", "until": "noon"}


def test_a_plain_no_of_a_check_tells_the_model_what_it_demands(memory: Home) -> None:
    def affordable(amount: Decimal) -> bool:
        """The purse holds as much."""
        return False

    error = went_on(memory.compile(one_edge(twice(), check=affordable)), Runner("invoke"), "check_failed")
    assert "The purse holds as much." in error["message"]
    partly = functools.partial(lambda amount, limit: amount < limit, limit=1)
    error = went_on(memory.compile(one_edge(twice(), check=partly)), Runner("invoke"), "check_failed")
    assert "its check does not hold" in error["message"]


def test_a_keyboard_interrupt_in_a_rule_is_nobodys_answer(memory: Home) -> None:
    def interrupted(amount: Decimal) -> bool:
        raise KeyboardInterrupt

    graph = memory.compile(one_edge(twice(), check=interrupted))
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(said(), thread(), context=ADA)
    assert graph.instances.get(thread()).data == {"spent": 0, "payees": []}


def test_a_broken_guard_does_not_open_the_edge_that_is_tried_after_it(memory: Home) -> None:
    """The second edge asks nobody: it is for what the first one's guard says no to, and not for what it cannot tell."""
    flow = one_edge(twice(), guard=lambda view: view.data.nothing, approval=Approval(role="boss"), order=1)
    (first, _) = flow._edges[0]
    flow.add_edge("open", first.tool, "paid", order=2)
    went_on(memory.compile(flow), Runner("invoke"), "rule_error")


def test_a_tool_withheld_by_a_broken_rule_is_recorded_once_without_a_proposal(memory: Home) -> None:
    flow = one_edge(ScriptedChatModel(["Hello.", "Hello again."]), guard=lambda view: view.data.nothing)
    graph = memory.compile(flow)
    for _ in range(2):
        assert graph.invoke(said(), thread(), context=ADA)["next_allowed_tools"] == []
    records = [(record.kind.value, record.tool, record.code) for record in graph.instances.audit(thread())]
    assert records == [("started", None, None), ("denial", "pay.out", "rule_error")]


def test_a_condition_may_look_at_the_view_or_at_the_context(memory: Home) -> None:
    def much(amount: Decimal, view: GuardView) -> bool:
        return view.data.spent + amount > 3

    def known(ctx: ToolContext[Purse]) -> bool:
        return ctx.data.spent == 0 and ctx.session.scalar(sa.select(sa.literal(1))) == 1

    for condition in (much, known, lambda view: view.principal.id == "ada", lambda ctx: ctx.data.spent == 0):
        graph = memory.compile(one_edge(twice(), approval=Approval(role="boss", when=condition)))
        assert "__interrupt__" in graph.invoke(said(), thread(), context=ADA)
    graph = memory.compile(one_edge(twice(), approval=Approval(when=lambda view: view.data.spent > 0)))
    assert graph.invoke(said(), thread(), context=ADA)["state"] == "paid"


class Meddles:
    """Writes in every way that a rule has, and then says what it is told to."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def __call__(self, amount: Decimal, ctx: ToolContext[Purse]) -> Any:
        session = ctx.session
        session.execute(sa.insert(notes).values(text="core"))
        session.execute(sa.text("INSERT INTO notes VALUES ('text')"))
        session.connection().exec_driver_sql("INSERT INTO notes VALUES ('driver')")
        with session.begin_nested():
            session.execute(sa.insert(notes).values(text="nested"))
        session.commit()
        ctx.data.spent = 99
        ctx.data.payees.append("mallory")
        return self.says


def rows(home: Home) -> int:
    database = home.saver.database if home.store is None else home.store.database  # type: ignore[union-attr]
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(notes)))


def with_notes(home: Home) -> None:
    database = home.saver.database if home.store is None else home.store.database  # type: ignore[union-attr]
    with database.write() as connection:
        notes.create(connection)


@pytest.mark.parametrize("says", [True, "no", False, None])
@pytest.mark.parametrize("rule", ["check", "preview", "when"])
def test_the_writes_of_a_rule_are_rolled_back_whatever_its_answer(sql: Home, rule: str, says: Any) -> None:
    with_notes(sql)
    meddles = Meddles(says)
    given: dict[str, Any] = {
        "check": {"check": meddles},
        "preview": {"preview": meddles, "approval": Approval(role="supervisor")},
        "when": {"approval": Approval(role="supervisor", when=meddles)},
    }[rule]
    graph = sql.compile(one_edge(ScriptedChatModel([PAY], forever="done"), **given))
    output = graph.invoke(said(), thread(), context=ADA)
    assert rows(sql) == 0
    if "__interrupt__" in output:
        approval = output["__interrupt__"][0].value["approvalId"]
        graph.instances.decide(approval, "approve", by=BEN)
        output = graph.instances.resume(thread())
        assert rows(sql) == 0
    # Whatever it wrote, its answer counts.
    passes = rule == "preview" or says is True or (rule == "when" and says is False)
    assert graph.instances.get(thread()).data["spent"] == (5 if passes else 0)
    assert graph.instances.get(thread()).data["payees"] == []


ENDINGS: dict[str, Callable[[Any], object]] = {
    "commit of the connection": lambda session: session.connection().commit(),
    "rollback of the session": lambda session: session.rollback(),
    "rollback of the connection": lambda session: session.connection().rollback(),
    "commit of the driver": lambda session: session.connection().connection.commit(),
    "rollback of the driver": lambda session: session.connection().connection.rollback(),
    "a statement that fails": lambda session: session.execute(sa.text("SELECT nothing FROM nowhere")),
    "writing past the session": lambda session: (
        session.connection().connection.cursor().execute("INSERT INTO notes VALUES ('raw')")
    ),
}


@pytest.mark.parametrize("caught", [True, False])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_check_that_ends_its_transaction_is_denied_and_nothing_of_it_is_kept(
    sql: Home, ending: str, caught: bool
) -> None:
    with_notes(sql)

    def ends(amount: Decimal, ctx: ToolContext[Purse]) -> bool:
        ctx.session.execute(sa.select(notes)).all()
        try:
            ENDINGS[ending](ctx.session)
        except Exception:
            if not caught:
                raise
        return True

    graph = sql.compile(one_edge(twice(), check=ends))
    if ending == "a statement that fails" and caught:  # SQLite takes other statements after that one
        assert codes(graph.invoke(said(), thread(), context=ADA)) == ["ok"]
    else:
        went_on(graph, Runner("invoke"), "rule_error")
    assert rows(sql) == 0


def test_a_rule_cannot_keep_its_session_or_its_context(sql: Home) -> None:
    with_notes(sql)
    kept: list[Any] = []

    def keeps(amount: Decimal, ctx: ToolContext[Purse]) -> bool:
        kept.extend([ctx, ctx.session])
        return True

    @command("pay.out", effect="transactional", check=keeps)
    def pay(amount: Decimal) -> str:
        """Pay."""
        kept[1].execute(sa.insert(notes).values(text="behind"))
        return "paid"

    flow = Workflow("desk", model=ScriptedChatModel([PAY, "No."])).add_state("open").add_state("paid", final=True)
    output = sql.compile(flow.add_edge("open", pay, "paid")).invoke(said(), thread(), context=ADA)
    assert (codes(output), rows(sql)) == (["tool_failed"], 0)


def test_a_rule_does_not_change_what_the_next_rule_or_the_tool_sees(memory: Home) -> None:
    class Line(BaseModel):
        amounts: list[int]

    seen: list[list[int]] = []

    def meddles(line: Line) -> bool:
        seen.append(list(line.amounts))
        line.amounts.append(1_000)
        return True

    @command("pay.lines", effect="transactional", check=meddles, preview=meddles)
    def pay(line: Line) -> list[int]:
        """Pay."""
        return line.amounts

    flow = Workflow("desk", model=ScriptedChatModel([call("pay.lines", line={"amounts": [5]}), "done"]))
    flow.add_state("open").add_state("paid", final=True)
    flow.add_edge("open", pay, "paid", check=meddles, approval=Approval(role="supervisor", when=meddles))
    graph = memory.compile(flow)
    output = graph.invoke(said(), thread(), context=ADA)
    graph.instances.decide(output["__interrupt__"][0].value["approvalId"], "approve", by=BEN)
    assert graph.instances.resume(thread())["last_result"]["output"] == [5]
    assert {tuple(amounts) for amounts in seen} == {(5,)}


@pytest.mark.parametrize("shown", [object(), {1: object()}, "x" * 2_000_000, float("nan"), "\ud83d", 2**90])
def test_a_preview_that_cannot_be_kept_is_a_denial(home: Home, run: Runner, shown: Any) -> None:
    flow = one_edge(twice(), preview=lambda amount: shown, approval=Approval(role="boss"))
    error = went_on(home.compile(flow), run, "rule_error")
    assert error["message"].startswith("pay_out could not be judged, because ")


@pytest.mark.parametrize(
    "ruling", [None, True, Deny, Deny(5), RequireApproval("boss", "x"), RequireApproval(None, "x"), "deny"]
)
def test_a_policy_that_gives_no_ruling_is_not_taken_for_a_yes(memory: Home, ruling: Any) -> None:
    class Odd(Policy):
        def judge(self, proposal: ProposalView) -> Any:
            return ruling

    went_on(memory.compile(one_edge(twice(), policies=(Odd(),))), Runner("invoke"), "rule_error")


@pytest.mark.parametrize("hidden", [False, True, "", 5, ["why"]])
def test_a_policy_that_hides_without_a_reason_withholds_the_tool(memory: Home, hidden: Any) -> None:
    class Odd(Policy):
        def hides(self, tool: Any, view: GuardView) -> Any:
            return hidden

    went_on(memory.compile(one_edge(twice(), policies=(Odd(),))), Runner("invoke"), "rule_error")


@pytest.mark.parametrize(
    "decide",
    [
        lambda view: 1 / 0,
        lambda view: {"tool": "pay.out"},
        lambda view: 5,
        lambda view: ("pay.out", 5),
        lambda view: _later(),
        lambda view: view.data.nothing,
        lambda view: (_ for _ in ()).throw(Refused("no")),
    ],
)
def test_a_decide_function_that_breaks_ends_the_turn_with_a_recorded_denial(
    home: Home, run: Runner, decide: Callable[[Any], Any]
) -> None:
    broken = [True]

    def deciding(view: Any) -> Any:
        return decide(view) if broken else "Still here."

    flow = Workflow("desk", data=Purse).add_state("open", decide=deciding).add_state("paid", final=True)
    flow.add_edge("open", one_edge(None)._edges[0][0].tool, "paid")
    graph = home.compile(flow)
    output = run(graph, said(), thread(), context=ADA)
    assert (output["state"], output["last_result"]["error"]["code"]) == ("open", "rule_error")
    assert output["last_result"]["error"]["details"]["rule"] == "the decide function of the state 'open'"
    assert [record.code for record in graph.instances.audit(thread())] == [None, "rule_error"]
    broken.clear()
    assert run(graph, said("and now?"), thread(), context=ADA)["messages"][-1].text == "Still here."


@pytest.mark.parametrize("kind", ["sql", "beside"])
def test_a_read_that_writes_is_refused_and_told_what_it_has_to_be(tmp_path: Path, kind: str) -> None:
    home = Home(kind, tmp_path)
    with_notes(home)
    output = home.compile(reading("INSERT INTO notes VALUES ('x')")).invoke(said(), thread(), context=ADA)
    assert codes(output) == ["tool_failed"]
    assert "effect='transactional'" in answers(output)[0]["error"]["message"]
    assert rows(home) == 0
    home.close()


def test_a_statement_of_a_read_that_fails_is_the_tools_own_failure(home: Home, run: Runner) -> None:
    output = run(home.compile(reading("SELECT nothing FROM nowhere")), said(), thread(), context=ADA)
    assert (codes(output), output["messages"][-1].text) == (["tool_failed"], "I could not.")


def reading(statement: str) -> Workflow:
    @read("note.look")
    def look(ctx: ToolContext[Purse]) -> str:
        """Look."""
        ctx.session.execute(sa.text(statement))
        return "seen"

    flow = Workflow("desk", data=Purse, model=ScriptedChatModel([call("note.look"), "I could not."]))
    flow.add_state("open", tools=[look]).add_state("paid", final=True)
    return flow.add_edge("open", one_edge(None)._edges[0][0].tool, "paid")


# What can be seen when the workflow is compiled


async def _async_rule(view: Any) -> bool:
    return True


class AsyncCall:
    async def __call__(self, view: Any) -> bool:
        return True


def _generator(view: Any) -> Any:
    yield True


def _reasoned(view: Any) -> bool | str:
    return "no"


def _forgetful(view: Any) -> None: ...


@pytest.mark.parametrize(
    "guard",
    [
        _async_rule,
        AsyncCall(),
        functools.partial(_async_rule),
        _generator,
        _reasoned,
        _forgetful,
        True,
        "view.data.n > 1",
        lambda: True,
        lambda view, ctx: True,
    ],
)
def test_a_guard_that_can_be_seen_to_give_no_answer_is_refused_with_its_edge(memory: Home, guard: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"guard of the edge open --pay\.out--> paid"):
        memory.compile(one_edge(twice(), guard=guard))


async def _coroutine_check(amount: Decimal) -> bool:
    return True


def _counts(amount: Decimal) -> int:
    return 1


def _explains(amount: Decimal) -> bool | str:
    return "why"


@pytest.mark.parametrize(
    "check", [_coroutine_check, functools.partial(_coroutine_check), _counts, lambda other: True, 5]
)
def test_a_check_of_an_edge_that_can_be_seen_to_give_no_answer_is_refused_with_its_edge(
    memory: Home, check: Any
) -> None:
    flow = one_edge(twice())
    (edge, _) = flow._edges[0]
    flow._edges.clear()
    with pytest.raises(WorkflowDefinitionError, match=r"check of the edge open --pay\.out--> paid"):
        memory.compile(flow.add_edge("open", edge.tool, "paid", check=check))


@pytest.mark.parametrize("when", [_coroutine_check, _counts, _explains, lambda other: True, True])
def test_a_condition_that_can_be_seen_to_give_no_answer_is_refused_with_its_edge(memory: Home, when: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"approval of the edge open --pay\.out--> paid"):
        memory.compile(one_edge(twice(), approval=Approval(when=when)))


def test_a_policy_that_can_be_seen_to_give_no_answer_is_refused_by_its_name(memory: Home) -> None:
    class Later(Policy):
        async def judge(self, proposal: ProposalView) -> Any:  # type: ignore[override]
            return None

    for policy, says in ((Later(), "'Later', has an async judge"), (Later, "Later\\(...\\)"), (5, "is 5")):
        with pytest.raises(WorkflowDefinitionError, match=says):
            memory.compile(one_edge(twice(), policies=(policy,)))  # type: ignore[arg-type]


def test_a_principal_without_a_name_is_judged_by_the_same_rules(memory: Home) -> None:
    graph = memory.compile(one_edge(twice(), guard=lambda view: view.principal.is_known))
    assert codes(graph.invoke(said(), thread(), context=Principal.ANONYMOUS)) == ["guard_failed"]


def test_a_policy_that_reads_the_store_in_memory_is_told_so_and_does_not_hang() -> None:
    asked: list[WorkflowGraph] = []
    config: Any = {"configurable": {"thread_id": "t"}}

    class Reading(Policy):
        def judge(self, proposal: ProposalView) -> Ruling:
            asked[0].instances.audit(config)
            return Allow()

    @command("case.close", effect="transactional")
    def close() -> str:
        """Close the case."""
        return "closed"

    flow = Workflow("desk", policies=[Reading()])
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    asked.append(flow.compile())
    asked[0].invoke({"messages": [("user", "hello")]}, config)

    with pytest.raises(StoreError, match="must not ask the workflow's instances"):
        asked[0].instances.execute(config, "case.close", {})
    assert asked[0].instances.snapshot(config).state == "open"
