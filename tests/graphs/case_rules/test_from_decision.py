"""What only the person who decides may say: a model is neither offered it nor able to give it; it is typed, bound and recorded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from langgraph.types import Command
from pydantic import BaseModel, Field

from interlock import Approval, Confirmation, FromDecision, Principal, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InterlockError, WorkflowDefinitionError
from tests.graphs.case_rules.support import ANN, WAYS, Case, Place, codes, results

MIA = Principal("mia")
GRANT = call("access.grant", system="ledger")
Why = Annotated[str, Field(min_length=10), FromDecision("Why does this person need it?")]
Risk = Annotated[Literal["low", "high"], FromDecision("How bad would misuse be?")]


class Access(BaseModel):
    why: str | None = None
    risk: str | None = None


def shown(system: str, justification: str | None) -> str:
    """What the approver sees."""
    return f"{system}, because {justification or '...'}"


@command("access.grant", effect="transactional", preview=shown)
def grant(system: str, justification: Why, ctx: ToolContext[Access], risk: Risk = "low") -> str:
    """Give access to a system."""
    ctx.data.why, ctx.data.risk = justification, risk
    return f"{system}: {justification}"


def flow(model: ScriptedChatModel, rule: Approval | None = None) -> Workflow:
    made = Workflow("access", model=model, data=Access)
    made.add_state("open")
    made.add_state("granted", final=True)
    made.add_edge("open", grant, "granted", approval=rule or Approval(by="mia", edit=False))
    return made


def test_a_model_is_not_offered_it_and_cannot_give_it(file: Place) -> None:
    offered: Any = grant.tool_definition()["function"]["parameters"]
    assert [*offered["properties"]] == ["system"]
    assert [*grant.to_wire().input_schema["properties"]] == ["system"]  # type: ignore[misc]
    steps = [
        call("access.grant", system="ledger", justification="because the manager says so"),
        call("access.grant", system="ledger", risk="low"),
    ]
    case = file.open(flow, steps)
    output = case.say()
    assert codes(output) == ["invalid_arguments", "invalid_arguments"]
    assert "only the person who decides" in results(output)[0]["error"]["message"]
    assert case.waiting() == []


@pytest.mark.parametrize("way", WAYS)
def test_the_one_who_decides_states_it_and_the_tool_runs_with_it(way: str, file: Place) -> None:
    case = file.open(flow, [GRANT], way=way)
    request = _asked(case)
    shown = case.instances.approval(request.approval_id)
    assert [one["name"] for one in shown["fields"]] == ["justification", "risk"]
    assert shown["fields"][0]["asks"] == "Why does this person need it?"
    assert shown["review_configs"][0]["allowed_decisions"] == ["edit", "reject", "respond"]
    answer = {"type": "approve", "values": {"justification": "She closes the books.", "risk": "high"}}
    if way == "middleware":
        case.graph.invoke(Command(resume=answer), case.config, context=MIA)
    else:
        case = file.open(flow, [], way=way)
        case.instances.decide(request.approval_id, answer, by=MIA)
        _ = case.instances.resume(case.config) if way == "graph" else case.instances.proposal(request.approval_id)
    assert case.row.data == {"why": "She closes the books.", "risk": "high"}
    (row,) = case.engine.store.decisions(request.approval_id)
    assert row.arguments == {"system": "ledger", "justification": "She closes the books.", "risk": "high"}
    (record,) = [one for one in case.instances.audit(case.id) if one.kind == "transition"]
    assert record.payload["arguments"]["justification"] == "She closes the books."


def test_a_value_stated_with_the_decision_survives_a_restart_on_postgresql(home: Place) -> None:
    case = home.open(flow, [], way="door")
    request = _asked(case)
    again = home.open(flow, [], way="door")
    again.instances.decide(
        request.approval_id, {"type": "approve", "values": {"justification": "For the audit."}}, by=MIA
    )
    done = home.open(flow, [], way="door").instances.proposal(request.approval_id)
    assert done.output == "ledger: For the audit."
    assert home.open(flow, [], way="door").row.data["risk"] == "low"


def _asked(case: Case) -> Any:
    if case.way == "door":
        case.begin()
        case.propose("access.grant", "g-1", system="ledger")
    else:
        case.say()
    return case.waiting()[0]


def test_nobody_agrees_without_it_and_it_is_held_to_its_type(file: Place) -> None:
    case = file.open(flow, [GRANT])
    request = _asked(case)
    for answer, said in (
        ("approve", "needs from the approver: justification"),
        ({"type": "approve", "values": {"risk": "low"}}, "justification"),
        ({"type": "approve", "values": {"justification": "short"}}, "at least 10|too short|minLength|shorter"),
        ({"type": "approve", "values": {"justification": None}}, "justification"),
        ({"type": "approve", "values": {"justification": "long enough, this", "risk": "none"}}, "risk"),
        ({"type": "approve", "values": {"justification": "long enough, this", "system": "vault"}}, "may not be edited"),
        ({"type": "approve", "values": {"justification": "long enough, this", "other": 1}}, "may not be edited"),
        ({"type": "reject", "values": {"justification": "long enough, this"}}, "come with an approval"),
        ({"type": "edit", "args": {"system": "vault", "justification": "long enough, this"}}, "may not be edited"),
    ):
        with pytest.raises(InterlockError, match=said):
            case.instances.decide(request.approval_id, answer, by=MIA)
    assert case.waiting()[0].effective_arguments == {"system": "ledger"}
    edit = {"type": "edit", "args": {"system": "ledger", "justification": "Other interfaces edit."}}
    case.instances.decide(request.approval_id, edit, by=MIA)
    case.instances.resume(case.config)
    assert case.row.data["why"] == "Other interfaces edit."


def test_the_next_approver_agrees_to_the_stated_values(file: Place) -> None:
    rule = Approval(count=2, edit=False)
    case = file.open(lambda model: flow(model, rule), [GRANT])
    request = _asked(case)
    bob = Principal("bob")
    case.instances.decide(request.approval_id, {"type": "approve", "values": {"justification": "Said by mia."}}, by=MIA)
    shown = case.instances.approval(request.approval_id)
    assert shown["arguments"]["justification"] == "Said by mia."
    assert "approve" in shown["review_configs"][0]["allowed_decisions"]
    assert shown["preview"] == "ledger, because Said by mia."
    case.instances.decide(request.approval_id, "approve", by=bob)
    case.instances.resume(case.config)
    assert case.row.data["why"] == "Said by mia."


def test_the_person_served_states_what_only_they_know(file: Place) -> None:
    case = file.open(lambda model: flow(model, Confirmation()), [GRANT])
    request = _asked(case)
    case.instances.decide(
        request.approval_id, {"type": "approve", "values": {"justification": "I lost my old key."}}, by=ANN
    )
    case.instances.resume(case.config)
    assert case.row.data["why"] == "I lost my old key."


def test_the_card_and_its_words_have_the_fields(file: Place) -> None:
    case = file.open(flow, [GRANT])
    request = _asked(case)
    card = case.instances.card(request.approval_id, by=MIA)
    shown = case.instances.approval(request.approval_id)
    description = shown["action_requests"][0]["description"]
    assert "To be supplied by the approver: justification: Why does this person need it?" in description
    assert "if they like: risk" in description
    assert "justification (to be stated): Why does this person need it?" in " ".join(str(card).split())
    assert "approved" in card.approve(justification="Stated on the card.") or card.outcome
    assert case.row.data["why"] == "Stated on the card."


class Given(BaseModel):
    system: str
    justification: Why


@command("access.give", effect="transactional", input_model=Given)
def give(given: Given, ctx: ToolContext[Access]) -> str:
    """Give access, by a whole model."""
    ctx.data.why = given.justification
    return given.system


def test_a_model_of_the_input_may_leave_fields_to_the_one_who_decides(file: Place) -> None:
    def whole(model: ScriptedChatModel) -> Workflow:
        made = Workflow("access", model=model, data=Access)
        made.add_state("open")
        made.add_edge("open", give, "open", approval=True)
        return made

    assert [*give.offered_schema()["properties"]] == ["system"]  # type: ignore[misc]
    case = file.open(whole, [call("access.give", system="ledger")])
    request = _asked(case)
    case.instances.decide(
        request.approval_id, {"type": "approve", "values": {"justification": "By a whole model."}}, by=MIA
    )
    case.instances.resume(case.config)
    assert case.row.data["why"] == "By a whole model."


def test_a_workflow_in_which_nobody_would_state_it_does_not_compile() -> None:
    for rule in (None, Approval(when=lambda system: system == "vault")):
        made = Workflow("access", data=Access)
        made.add_state("open")
        made.add_edge("open", grant, "open", approval=rule)
        with pytest.raises(WorkflowDefinitionError, match="justification"):
            made.compile()
