"""Proposals that wait belong to whoever proposed them, also when it is somebody else's turn, who is offered other tools."""

from __future__ import annotations

from typing import Any

from langgraph.types import Command

from interlock import Approval, Principal, RequireRole, Workflow, command
from interlock.testing import ScriptedChatModel, call

AGENT = Principal("ada", roles=frozenset({"agent"}))
GUEST = Principal("gil")
BOSS = Principal("bea", roles=frozenset({"boss"}))


@command("order.refund", effect="transactional")
def refund() -> str:
    """Refund an order."""
    return "refunded"


def test_a_call_that_waits_is_still_asked_about_in_the_turn_of_somebody_who_is_not_offered_its_tool() -> None:
    model = ScriptedChatModel([call("order.refund"), "Done."])
    flow = Workflow("desk", model=model, policies=[RequireRole("agent", [refund])], run_by="tenant")
    flow.add_state("open")
    flow.add_edge("open", refund, "open", approval=Approval(role="boss"))
    graph = flow.compile()
    config: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 30}
    graph.invoke({"messages": [("user", "Refund it")]}, config, context=AGENT)

    graph.invoke({"messages": [("user", "And now?")]}, config, context=GUEST)
    (waiting,) = graph.get_state(config).interrupts
    output = graph.invoke(Command(resume="approve"), config, context=BOSS)

    assert waiting.value["requestedBy"] == AGENT.id
    assert output["messages"][-1].content == "Done."
