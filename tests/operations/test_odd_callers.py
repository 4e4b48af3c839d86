"""What is no person, no instance, no id and no amount, wherever an application gives one: refused with an error that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from interlock import Approval, Budget, FromApplication, Principal, RoleHolders, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel
from interlock.tools.errors import ContractError, InputError, InterlockError, PrincipalError, WorkflowDefinitionError

ANN = Principal("ann")
MIA = Principal("mia", roles=frozenset({"boss", "chief"}))
TEXTS: list[Any] = [
    None,
    7,
    True,
    b"x",
    "",
    "  ",
    "x" * 300,
    "a\x00b",
    "\ud800",
    "a\u202eb",
    [],
    {},
    {"a": 1},
    1.5,
    object(),
]
LONG = 10**15


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


class Desk:
    def __init__(self, store: WorkflowStore | None = None) -> None:
        flow = Workflow("desk", model=ScriptedChatModel(forever="Hello."))
        flow.add_state("open")
        flow.add_edge("open", close, "open", approval=Approval(by="mia", reassign="chief"))
        flow.cancellable(role="boss")
        flow.budgets(Budget(tokens=100, reserve=10, raised_by="boss", name="case"))
        self.store = store or WorkflowStore.in_memory()
        self.instances = flow.compile(workflow_store=self.store).instances
        self.id = str(self.instances.start(principal=ANN).workflow_id)
        asked: Any = self.instances.propose(self.id, "desk.close", {}, principal=ANN, key="k")
        self.approval = str(asked.pending.proposal_id)

    @property
    def stands(self) -> Any:
        request = self.store.approval(self.approval)
        return request.rule.by, request.status, self.store.get(self.id).state, self.instances.delegations()


@pytest.fixture
def desk() -> Desk:
    return Desk()


WHO: dict[str, Callable[[Desk, Any], Any]] = {
    "delegate": lambda desk, by: desk.instances.delegate("del", by=by, until="1d"),
    "end a delegation": lambda desk, by: desk.instances.end_delegation("del_1", by=by),
    "reassign": lambda desk, by: desk.instances.reassign(desk.approval, "nil", by=by),
    "remind": lambda desk, by: desk.instances.remind(desk.approval, by=by),
    "decide": lambda desk, by: desk.instances.decide(desk.approval, "approve", by=by),
    "may decide": lambda desk, by: desk.instances.why_not_decide(desk.approval, by=by),
    "withdraw": lambda desk, by: desk.instances.withdraw(desk.approval, by=by),
    "cancel": lambda desk, by: desk.instances.cancel(desk.id, "no", by=by),
    "raise a budget": lambda desk, by: desk.instances.raise_budget(desk.id, "case", 1, by=by, reason="r", key="k"),
    "resolve": lambda desk, by: desk.instances.resolve(desk.id, "failed", by=by),
}
LOOKS: dict[str, Callable[[Desk, Any], Any]] = {
    "delegations": lambda desk, by: desk.instances.delegations(by=by),
    "approvals": lambda desk, by: desk.instances.approvals(by=by),
    "approval": lambda desk, by: desk.instances.approval(desk.approval, by=by),
    "budgets": lambda desk, by: desk.instances.budgets(desk.id, by=by),
    "cancellation": lambda desk, by: desk.instances.cancellation(desk.id, by=by),
    "explain": lambda desk, by: desk.instances.explain(desk.id, by=by),
}


@pytest.mark.parametrize("act", [*WHO.values(), *LOOKS.values()], ids=[*WHO, *LOOKS])
@pytest.mark.parametrize("by", ["mia", 7, {"id": "mia", "roles": ["boss", "chief"]}, ["mia"]])
def test_the_actor_is_a_principal_and_not_a_name(act: Callable[[Desk, Any], Any], by: Any, desk: Desk) -> None:
    before = desk.stands
    with pytest.raises(PrincipalError, match=r"pass by=Principal"):
        act(desk, by)
    assert desk.stands == before


@pytest.mark.parametrize("act", WHO.values(), ids=WHO)
def test_none_is_not_a_principal(act: Callable[[Desk, Any], Any], desk: Desk) -> None:
    before = desk.stands
    with pytest.raises(PrincipalError, match=r"pass by=Principal"):
        act(desk, None)
    assert desk.stands == before


WHICH: dict[str, Callable[[Desk, Any], Any]] = {
    "get": lambda desk, which: desk.instances.get(which),
    "cancel": lambda desk, which: desk.instances.cancel(which, "no", by=MIA),
    "cancellation": lambda desk, which: desk.instances.cancellation(which),
    "budgets": lambda desk, which: desk.instances.budgets(which),
    "raise a budget": lambda desk, which: desk.instances.raise_budget(which, "case", 1, by=MIA, reason="r", key="k"),
    "snapshot": lambda desk, which: desk.instances.snapshot(which),
}


@pytest.mark.parametrize("act", WHICH.values(), ids=WHICH)
def test_a_config_that_names_no_instance_is_refused(act: Callable[[Desk, Any], Any], desk: Desk) -> None:
    for which in [*TEXTS, {"configurable": None}, {"configurable": []}]:
        with pytest.raises(InterlockError):
            act(desk, which)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_invalid_id_of_a_request_or_a_delegation_is_unknown(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/desk.db" if kind == "sqlite" else str(request.getfixturevalue("postgres_database"))
    store = WorkflowStore(url)
    store.setup()
    desk = Desk(store)
    for text in [*TEXTS, desk.id]:
        for act in (
            lambda text=text: desk.instances.decide(text, "approve", by=MIA),
            lambda text=text: desk.instances.reassign(text, "nil", by=MIA),
            lambda text=text: desk.instances.remind(text, by=MIA),
            lambda text=text: desk.instances.approval(text),
            lambda text=text: desk.instances.end_delegation(text, by=MIA),
        ):
            with pytest.raises(InputError, match=r"no (approval|delegation)|approval_id"):
                act()
    store.close()


@pytest.mark.parametrize("to", TEXTS)
def test_an_invalid_delegate_or_assignee_is_refused(to: Any, desk: Desk) -> None:
    before = desk.stands
    acts: tuple[Callable[[], Any], ...] = (
        lambda: desk.instances.delegate(to, by=MIA, until="1d"),
        lambda: desk.instances.reassign(desk.approval, to, by=MIA),
        lambda: desk.instances.reassign(desk.approval, ["nil", to], by=MIA),
    )
    for act in acts:
        with pytest.raises(InputError, match="Nothing was changed"):
            act()
    assert desk.stands == before
    with pytest.raises(ContractError):
        Approval(by=[to])


def test_people_of_another_tenant_are_given_nothing(desk: Desk) -> None:
    nil = Principal("nil", tenant="elsewhere")
    for to in (nil, ["bob", nil]):
        with pytest.raises(InputError, match="another tenant"):
            desk.instances.reassign(desk.approval, to, by=MIA)
    with pytest.raises(InputError, match="another tenant"):
        desk.instances.delegate(nil, by=MIA, until="1d")


def test_an_id_is_the_same_in_each_spelling(desk: Desk) -> None:
    desk.instances.reassign(desk.approval, " Zoe\u0308 ", by=MIA)
    assert desk.instances.decide(desk.approval, "approve", by=Principal("Zoë")).status == "approved"
    assert Approval(by="Zoe\u0308").by == frozenset({"Zoë"})


def _later(*_given: Any) -> Any:
    yield 1


async def _async(*_given: Any) -> Any:
    return None


@pytest.mark.parametrize("function", [_later, _async])
def test_a_rule_that_is_async_or_yields_is_refused_where_it_is_written(function: Any) -> None:
    flow = Workflow("desk").add_state("open")
    for make in (
        lambda: Approval(by=function),
        lambda: Approval(by="mia", within=function),
        lambda: flow.cancellable(role="boss", when=function),
        lambda: flow.cancellable(after=function),
        lambda: WorkflowStore("sqlite://", delegates=function),
    ):
        with pytest.raises((ContractError, WorkflowDefinitionError, InputError), match="async"):
            make()


def test_a_class_that_does_not_say_what_it_takes_supplies_nothing() -> None:
    def take(what: Annotated[str, FromApplication(dict)]) -> str:
        """Take it."""
        return what

    with pytest.raises(ContractError, match="does not say what it takes"):
        command("desk.take", effect="transactional")(take)


class Odd:
    """A value whose own methods raise."""

    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("given", [{"by": lambda view: Odd()}, {"by": "mia", "within": lambda view: Odd()}])
def test_a_function_that_gives_what_cannot_even_be_shown_denies_the_call(given: Any) -> None:
    flow = Workflow("desk")
    flow.add_state("open")
    flow.add_edge("open", close, "open", approval=Approval(**given))
    instances = flow.compile(in_memory=True).instances
    case = instances.start(principal=ANN).workflow_id
    denied: Any = instances.propose(case, "desk.close", {}, principal=ANN, key="k")
    assert denied.error.code == "rule_error"


AMOUNTS = [
    None,
    True,
    1.5,
    float("nan"),
    "",
    "1_000",
    " 5",
    "1e3",
    "９",
    "-1",
    0,
    "0",
    "NaN",
    "5,00",
    [],
    LONG + 1,
    b"5",
]


@pytest.mark.parametrize("more", [*AMOUNTS, "1.5"])
def test_an_invalid_amount_raises_no_budget(more: Any, desk: Desk) -> None:
    with pytest.raises(InputError, match="Nothing was raised"):
        desk.instances.raise_budget(desk.id, "case", more, by=MIA, reason="r", key="k")
    assert desk.instances.budgets(desk.id)[0].raised == "0"


def test_a_budget_is_never_raised_to_more_than_can_be_counted(desk: Desk) -> None:
    desk.instances.raise_budget(desk.id, "case", LONG, by=MIA, reason="r", key="k-1")
    with pytest.raises(InputError, match="more than can be counted"):
        desk.instances.raise_budget(desk.id, "case", 1, by=MIA, reason="r", key="k-2")
    assert desk.instances.budgets(desk.id)[0].raised == str(LONG)


@pytest.mark.parametrize("key", [key for key in TEXTS if key != "a\u202eb"])
def test_a_budget_is_raised_under_a_key_that_can_be_kept(key: Any, desk: Desk) -> None:
    with pytest.raises(InputError, match="under a key"):
        desk.instances.raise_budget(desk.id, "case", 1, by=MIA, reason="r", key=key)
    assert desk.instances.budgets(desk.id)[0].raised == "0"


@pytest.mark.parametrize(
    "named", [{"name": 7}, {"name": "a\x00"}, {"name": "a\u202eb"}, {"raised_by": ["a"]}, {"raised_by": " "}]
)
def test_a_budget_has_a_name_and_a_role_that_people_can_read(named: Any) -> None:
    with pytest.raises(ContractError, match="Budget"):
        Budget(tokens=10, reserve=1, **named)


def test_a_role_can_be_named_in_place_of_people(desk: Desk) -> None:
    desk.instances.reassign(desk.approval, RoleHolders("board"), by=MIA)
    assert desk.stands[0] == RoleHolders("board")
