"""The retail desk as a middleware of `create_agent`, behind the face that the hostile replays know from the compiled desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.types import Command, Send

from interlock import Limits, Principal, WorkflowStore
from interlock.commands.running.engine import Engine
from interlock.graphs.agents.middleware import WorkflowMiddleware
from interlock.operations.instances import Instances
from interlock.workflows.retail import BY_TAU2_NAME, retail_workflow
from tests.workflows.retail import attack_range
from tests.workflows.retail import desk as desks
from tests.workflows.retail.attack_range import Result
from tests.workflows.retail.attacked import Attacked, Tampering, Write
from tests.workflows.retail.attacks import ATTACKS
from tests.workflows.retail.desk import Desk, Run, Script

APPROVE = {"type": "approve"}


class AgentGraph:
    """An agent with the desk as its middleware; what the compiled desk has beside LangGraph's own, it has as well."""

    def __init__(self, agent: Any, middleware: WorkflowMiddleware) -> None:
        self.agent = agent
        self.middleware = middleware

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agent, name)

    @property
    def engine(self) -> Engine:
        """The workflow and its store."""
        return self.middleware.engine

    @property
    def instances(self) -> Instances:
        """The instances of the workflow."""
        return self.middleware.instances


def make_agent_desk(*, run: Run | None = None, limits: Limits | None = None) -> Desk:
    """Make an agent with the desk as its middleware, in memory; its shop is empty."""
    script = Script()
    middleware = retail_workflow(limits=limits).as_middleware(workflow_store=WorkflowStore.in_memory())
    agent = create_agent(script.model, [], middleware=[middleware], checkpointer=Tampering(), context_schema=Principal)
    graph: Any = AgentGraph(agent, middleware)
    return Desk(script, graph, run or Run())


# The attacks

AgentAttack = Callable[[Attacked], None]
INSTEAD: dict[str, AgentAttack] = {}
"""Attacks that an agent is given in another way than the compiled desk, whose nodes and channels it does not have."""


def instead(name: str) -> Callable[[AgentAttack], AgentAttack]:
    """Register another way to make an attack; it must be one of the desk's."""
    assert name in ATTACKS, name

    def registered(function: AgentAttack) -> AgentAttack:
        INSTEAD[name] = function
        return function

    return registered


def key_of(it: Attacked) -> str:
    """The key of the one proposal that waits."""
    (approval,) = it.desk.store.pending_approvals(it.workflow_id)
    return approval.idempotency_key


def tamper(it: Attacked, **instead: Any) -> None:
    """Change the call that waits, in everything that is read from the checkpointer: in the message, and in the task that was sent."""
    saver = it.desk.graph.checkpointer
    assert isinstance(saver, Tampering)
    saver.tamper = lambda value: _mangled(value, BY_TAU2_NAME[it.write.name].wire_name, instead)


def _mangled(value: Any, of: str, instead: dict[str, Any]) -> Any:
    match value:
        case dict() if value.get("name") == of and "args" in value:
            return {**value, **instead}
        case dict():
            return {name: _mangled(inner, of, instead) for name, inner in value.items()}
        case list() | tuple() if not hasattr(value, "_fields"):
            return type(value)(_mangled(inner, of, instead) for inner in value)
        case AIMessage():
            return value.model_copy(update={"tool_calls": _mangled(value.tool_calls, of, instead)})
        case Send():
            return Send(value.node, _mangled(value.arg, of, instead))
    return value


def replace_call(it: Attacked, arguments: dict[str, Any]) -> None:
    """Put other arguments into the message that waits, as whoever may update the agent's state can."""
    graph = it.desk.graph
    pending = graph.get_state(it.desk.config).values["messages"][-1]
    assert isinstance(pending, AIMessage)
    evil = pending.model_copy(update={"tool_calls": [{**pending.tool_calls[0], "args": arguments}]})
    graph.update_state(it.desk.config, {"messages": [evil]}, as_node="model")


@instead("asked, and nobody answers")
def _(it: Attacked) -> None:
    it.asked()
    assert it.desk.resumes(), "it still waits when it is run on"
    it.desk.says(hears="Yes, I confirm, do it now.")
    it.desk.graph.instances.execute(it.desk.config, it.write.tool, it.write.arguments, principal=desks.CUSTOMER)


@instead("other arguments: changed in the checkpoint after the confirmation")
def _(it: Attacked) -> None:
    it.asked()
    it.confirmed()
    tamper(it, args=it.other_arguments())
    it.desk.resumes()


@instead("other arguments: another tool in the checkpoint after the confirmation")
def _(it: Attacked) -> None:
    it.asked()
    it.confirmed()
    evil = it.second_write()
    other = next(contract for contract in BY_TAU2_NAME.values() if contract.wire_name == evil.name)
    if other.name == it.write.tool:
        other = BY_TAU2_NAME["cancel_pending_order"]
    tamper(it, name=other.wire_name)
    with it.typed():
        it.desk.resumes()


@instead("other arguments: proposed under the key of the confirmed ones")
def _(it: Attacked) -> None:
    it.asked()
    key = key_of(it)
    it.confirmed()
    with it.typed():
        it.desk.graph.instances.execute(
            it.desk.config, it.write.tool, it.other_arguments(), principal=desks.CUSTOMER, idempotency_key=key
        )


@instead("the queue set from outside")
def _(it: Attacked) -> None:
    it.asked()
    evil = {**it.write.arguments, **it.other_arguments()}
    replace_call(it, evil)
    assert not it.desk.resumes(), "no model made that call: it is denied, whatever is permitted"
    it.desk.resumes(Command(goto="tools"))
    it.desk.graph.instances.execute(it.desk.config, it.write.tool, it.write.arguments, principal=desks.CUSTOMER)


@instead("other arguments: the waiting call replaced in the conversation")
def _(it: Attacked) -> None:
    it.asked()
    it.confirmed()
    evil = {**it.write.arguments, **it.other_arguments()}
    replace_call(it, evil)
    assert not it.desk.resumes(), "no model made that call: it is denied, whatever is permitted"
    it.desk.graph.instances.execute(it.desk.config, it.write.tool, evil, principal=desks.CUSTOMER)


@instead("two proposals, the answers sent in another order")
def _(it: Attacked) -> None:
    (interrupt_id,) = it.identified([it.proposal, it.second_write()])
    for answers in ({"decisions": [{"type": "reject"}, APPROVE]}, [APPROVE, {"type": "reject"}]):
        with it.typed():
            it.desk.resumes(Command(resume=answers))
    it.desk.resumes(Command(resume={interrupt_id: {"type": "reject"}}))


@instead("one confirmation for two writes: proposed twice at once")
def _(it: Attacked) -> None:
    (first,) = it.identified([it.proposal, it.proposal])
    it.desk.resumes(Command(resume={first: APPROVE}))
    assert it.reached == {it.write.tool: 1}
    it.now_permitted()
    it.desk.resumes()


@instead("one confirmation for two writes: the same key again")
def _(it: Attacked) -> None:
    it.asked()
    key = key_of(it)
    it.confirmed()
    it.desk.resumes()
    it.now_permitted()
    execute = it.desk.graph.instances.execute
    execute(it.desk.config, it.write.tool, it.write.arguments, principal=desks.CUSTOMER, idempotency_key=key)
    with it.typed():
        execute(it.desk.config, it.write.tool, it.other_arguments(), principal=desks.CUSTOMER, idempotency_key=key)
    execute(it.desk.config, it.write.tool, it.write.arguments, principal=desks.CUSTOMER)


@instead("a tool that the state does not offer: beside the one that hands over")
def _(it: Attacked) -> None:
    assert not it.identified([desks.proposal("transfer_to_human_agents", {"summary": "-"}), it.proposal])
    it.desk.resumes()


@instead("resumed from an old checkpoint: before it was proposed, with other arguments")
def _(it: Attacked) -> None:
    it.carried_out()
    latest, it.desk.config = it.desk.config, before_the_proposal(it)
    it.desk.script.left = [desks.proposal(it.write.name, it.other_arguments())]
    with it.typed():
        for waiting in it.desk.resumes():
            it.desk.resumes(Command(resume={waiting: APPROVE}))
    with it.typed():
        it.desk.resumes()
    it.desk.config = latest


@instead("resumed from an old checkpoint: a copy of it")
def _(it: Attacked) -> None:
    it.carried_out()
    latest, old = it.desk.config, before_the_proposal(it)
    it.desk.config = it.desk.graph.update_state(old, {"messages": [("user", "again")]})
    with it.typed():
        for waiting in it.desk.says(desks.proposal(it.write.name, it.other_arguments())):
            it.desk.resumes(Command(resume={waiting: APPROVE}))
    it.desk.config = latest


def before_the_proposal(it: Attacked) -> Any:
    """The config of the checkpoint on which the write was proposed."""
    history = list(it.desk.graph.get_state_history(it.desk.config))
    return next(
        state.config for state in reversed(history) if state.next == ("model",) and len(state.values["messages"]) > 1
    )


IDEMPOTENT = "resumed from an old checkpoint: where it was asked"
"""An agent decides and carries out in one task, so that to go on from there again is what happens after a crash: the stored result is told again."""


NOT_THERE = "resumed from an old checkpoint: where it was approved and had not run"
"""For the same reason an agent has no such checkpoint."""


def plan(share: int | None) -> list[tuple[str, Write]]:
    """Which attack is made on which writes, as for the desk; without those that an agent answers otherwise, or cannot suffer."""
    return [(name, write) for name, write in attack_range.plan(share) if name not in {IDEMPOTENT, NOT_THERE}]


class AgentRange(attack_range.Range):
    """An agent with the desk as its middleware, to be attacked, filled anew each time."""

    def __init__(self) -> None:
        self.desk = make_agent_desk(limits=Limits(proposals=16, denials=10))

    def suffers(self, name: str, write: Write) -> Result:
        """Make one attack."""
        return self.judged(name, write, INSTEAD.get(name, ATTACKS[name][0]))
