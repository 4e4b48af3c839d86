"""Every way into an instance that the public face has, as data: what is called, and what a caller must meet there.

`tests/security/test_every_entry_point.py` walks over them, and finds by introspection what is not listed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from langgraph.types import Command, StateUpdate
from pydantic import BaseModel

from interlock import Approval, Principal, Workflow, WorkflowGraph, command
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada", tenant="acme")
"""The person served."""
APPROVER = Principal("sue", roles=frozenset({"supervisor"}), tenant="acme")
COLLEAGUE = Principal("cole", roles=frozenset({"clerk"}), tenant="acme")
"""Of the same tenant, and neither served nor asked."""
NOBODY = Principal.anonymous("acme")
FOREIGN = Principal("ada", roles=frozenset({"supervisor"}), tenant="elsewhere")
"""Of another tenant, with the same id and the role that is asked for."""

THREAD: dict[str, Any] = {"configurable": {"thread_id": "t-1"}}
SECRETS = ("A-SECRET", "DE-IBAN", "W-77")
"""What stands in the conversation, in the data, and in the arguments that wait for an approval."""


class DeskData(BaseModel):
    iban: str = "DE-IBAN"


@dataclass
class Place:
    """A desk with one instance that serves ada and waits for a supervisor; or, for comparison, without any."""

    begun: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    tenant: str = "acme"
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = self

        @command("order.refund", effect="transactional")
        def refund(order_id: str) -> str:
            """Refund an order."""
            place.ran.append(order_id)
            return "refunded"

        model = ScriptedChatModel([call("order.refund", orderId="W-77")], forever="Done.")
        flow = Workflow("desk", model=model, data=DeskData, **self.options)
        flow.add_state("open").add_state("closed", final=True)
        flow.add_edge("open", refund, "closed", approval=Approval(role="supervisor"))
        self.graph: WorkflowGraph = flow.compile()
        if self.begun:
            self.graph.invoke(
                {"messages": [("user", "A-SECRET, please refund")]},
                THREAD,
                context=Principal("ada", tenant=self.tenant),
            )

    @property
    def approval_id(self) -> str:
        """Of the request that waits; its id is guessed where there is none."""
        return "apr_afzja2dhbapt68edg0xng0t762" if not self.begun else self.pending

    @property
    def pending(self) -> str:
        (waiting,) = self.graph.instances.approvals(tenant=self.tenant).approvals
        return waiting.approval_id

    def stands(self) -> tuple[Any, ...]:
        """All that somebody could have moved."""
        instance = self.graph.instances.get(THREAD)
        said = [message.text for message in self.graph.get_state(THREAD).values["messages"]]
        waiting = [one.approval_id for one in self.graph.instances.approvals(tenant=self.tenant).approvals]
        return instance.state, instance.revision, said, waiting, list(self.ran)

    def refusals_of(self, by: Principal) -> int:
        """How many records say that somebody was refused."""
        kinds = {"denial", "decision_refused"}
        return sum(
            record.kind.value in kinds and record.principal_id == by.id for record in self.graph.instances.audit(THREAD)
        )


Call = Callable[[Place, Principal], Any]


@dataclass(frozen=True)
class Entry:
    """One way in."""

    name: str
    """Of the method, after its class."""
    call: Call
    how: str = ""
    begins: bool = False
    """Whether it begins an instance where there is none, so that it cannot answer another tenant as if nothing were there."""


HELLO = {"messages": [("user", "B-INJECT")]}
UPDATE = Command(update={"messages": [("user", "B-INJECT")]})
ANSWER = Command(resume="approve")
GIVEN: dict[str, Any] = {
    "a message": HELLO,
    "nothing": None,
    "an update": UPDATE,
    "an answer with an update": Command(resume="approve", update={"messages": [("user", "B-INJECT")]}),
    "an answer": ANSWER,
    "an answer by id": Command(resume={"apr_afzja2dhbapt68edg0xng0t762": "approve"}),
}
MODES = ("values", "updates", "messages", "custom", "checkpoints", "tasks", "debug")


def collected(steps: Iterator[Any]) -> list[str]:
    """Everything that comes out before the error, which is raised with it."""
    got: list[str] = []
    try:
        for one in steps:
            got.append(str(one))
    except Exception as error:
        error.args = (*error.args, *got)
        raise
    return got


def acollected(steps: Any) -> list[str]:
    async def drain() -> list[str]:
        got: list[str] = []
        try:
            async for one in steps:
                got.append(str(one))
        except Exception as error:
            error.args = (*error.args, *got)
            raise
        return got

    return asyncio.run(drain())


def runs() -> Iterator[Entry]:
    """The ways to run the graph, with everything that one can be given."""
    for how, given in GIVEN.items():
        begins = given is HELLO
        yield Entry("graph.invoke", lambda p, by, g=given: p.graph.invoke(g, THREAD, context=by), how, begins)
        yield Entry(
            "graph.stream",
            lambda p, by, g=given: collected(p.graph.stream(g, THREAD, context=by, stream_mode=[*MODES])),
            how,
            begins,
        )
        yield Entry(
            "graph.ainvoke", lambda p, by, g=given: asyncio.run(p.graph.ainvoke(g, THREAD, context=by)), how, begins
        )
        yield Entry(
            "graph.astream",
            lambda p, by, g=given: acollected(p.graph.astream(g, THREAD, context=by, stream_mode=[*MODES])),
            how,
            begins,
        )
    for mode in MODES:
        yield Entry(
            "graph.stream",
            lambda p, by, m=mode: collected(p.graph.stream(None, THREAD, context=by, stream_mode=m)),
            mode,
        )
    yield Entry("graph.batch", lambda p, by: p.graph.batch([None], THREAD, context=by))
    yield Entry("graph.abatch", lambda p, by: asyncio.run(p.graph.abatch([None], THREAD, context=by)))
    yield Entry("graph.batch_as_completed", lambda p, by: [*p.graph.batch_as_completed([None], THREAD, context=by)])
    yield Entry(
        "graph.abatch_as_completed", lambda p, by: acollected(p.graph.abatch_as_completed([None], THREAD, context=by))
    )
    yield Entry(
        "graph.transform", lambda p, by: collected(p.graph.transform(iter([HELLO]), THREAD, context=by)), begins=True
    )
    yield Entry(
        "graph.atransform",
        lambda p, by: acollected(p.graph.atransform(_aiter([HELLO]), THREAD, context=by)),
        begins=True,
    )
    yield Entry(
        "graph.astream_events", lambda p, by: acollected(p.graph.astream_events(None, THREAD, context=by, version="v2"))
    )
    yield Entry(
        "graph.stream_events",
        lambda p, by: collected(iter(p.graph.stream_events(None, THREAD, context=by, version="v3"))),
    )
    yield Entry("graph.astream_events", lambda p, by: asyncio.run(_third(p.graph, by)), "of the third version")
    yield Entry("graph.astream_log", lambda p, by: acollected(p.graph.astream_log(None, THREAD, context=by)))
    yield Entry("graph.with_config", lambda p, by: p.graph.with_config(THREAD).invoke(None, context=by), "and then run")


async def _third(graph: WorkflowGraph, by: Principal) -> list[str]:
    run: Any = await graph.astream_events(None, THREAD, context=by, version="v3")
    return [str(one) async for one in run]


async def _aiter(values: list[Any]) -> Any:
    for value in values:
        yield value


def looks() -> Iterator[Entry]:
    """The ways to look at an instance, or to change it, for somebody."""
    yield Entry("graph.get_state", lambda p, by: p.graph.get_state(THREAD, by=by, subgraphs=True))
    yield Entry("graph.aget_state", lambda p, by: asyncio.run(p.graph.aget_state(THREAD, by=by)))
    yield Entry("graph.get_state_history", lambda p, by: collected(p.graph.get_state_history(THREAD, by=by)))
    yield Entry("graph.aget_state_history", lambda p, by: acollected(p.graph.aget_state_history(THREAD, by=by)))
    yield Entry("graph.update_state", lambda p, by: p.graph.update_state(THREAD, HELLO, by=by))
    yield Entry("graph.aupdate_state", lambda p, by: asyncio.run(p.graph.aupdate_state(THREAD, HELLO, by=by)))
    yield Entry(
        "graph.bulk_update_state",
        lambda p, by: p.graph.bulk_update_state(THREAD, [[StateUpdate(HELLO)]], by=by),
    )
    yield Entry(
        "graph.abulk_update_state",
        lambda p, by: asyncio.run(p.graph.abulk_update_state(THREAD, [[StateUpdate(HELLO)]], by=by)),
    )
    yield Entry("graph.side_by_side", lambda p, by: str(p.graph.side_by_side(THREAD, by=by)))
    yield Entry("graph.compare", lambda p, by: str(p.graph.compare(THREAD, THREAD, by=by)._repr_mimebundle_()))
    for which, how in ((THREAD, "by thread"), (None, "by id")):

        def at(place: Place, which: Any = which) -> Any:
            return which or place.graph.instances.id_of(THREAD)

        yield Entry("instances.get", lambda p, by, at=at: p.graph.instances.get(at(p), by=by), how)
        yield Entry("instances.snapshot", lambda p, by, at=at: p.graph.instances.snapshot(at(p), by=by), how)
        yield Entry(
            "instances.snapshot",
            lambda p, by, at=at: p.graph.instances.snapshot(at(p), principal=by),
            f"principal, {how}",
        )
        yield Entry("instances.picture", lambda p, by, at=at: p.graph.instances.picture(at(p), by=by).svg, how)
        yield Entry(
            "instances.picture",
            lambda p, by, at=at: p.graph.instances.picture(at(p), principal=by).svg,
            f"principal, {how}",
        )
        yield Entry("instances.timeline", lambda p, by, at=at: p.graph.instances.timeline(at(p), by=by), how)
        yield Entry("instances.explain", lambda p, by, at=at: p.graph.instances.explain(at(p), by=by).to_json(), how)
        yield Entry("instances.check_thread", lambda p, by, at=at: p.graph.instances.check_thread(at(p), by=by), how)
        for name in (
            "acheck_thread",
            "aexplain",
            "aget",
            "asnapshot",
            "atimeline",
            "aaudit",
            "aclaims",
            "acancellation",
            "abudgets",
        ):
            yield Entry(
                f"instances.{name}",
                lambda p, by, at=at, name=name: asyncio.run(getattr(p.graph.instances, name)(at(p), by=by)),
                how,
            )
        yield Entry(
            "instances.apicture",
            lambda p, by, at=at: asyncio.run(p.graph.instances.apicture(at(p), by=by)).svg,
            how,
        )
        yield Entry("instances.audit", lambda p, by, at=at: p.graph.instances.audit(at(p), by=by), how)
        yield Entry("instances.cancellation", lambda p, by, at=at: p.graph.instances.cancellation(at(p), by=by), how)
        yield Entry("instances.budgets", lambda p, by, at=at: p.graph.instances.budgets(at(p), by=by), how)
        yield Entry("instances.claims", lambda p, by, at=at: p.graph.instances.claims(at(p), by=by), how)
        yield Entry("instances.resume", lambda p, by, at=at: p.graph.instances.resume(at(p), by=by), how)
        yield Entry("instances.aresume", lambda p, by, at=at: asyncio.run(p.graph.instances.aresume(at(p), by=by)), how)
        yield Entry(
            "instances.execute",
            lambda p, by, at=at: p.graph.instances.execute(at(p), "order.refund", {"orderId": "W-78"}, principal=by),
            how,
        )
        yield Entry(
            "instances.aexecute",
            lambda p, by, at=at: asyncio.run(
                p.graph.instances.aexecute(at(p), "order.refund", {"orderId": "W-78"}, principal=by)
            ),
            how,
        )
        yield Entry(
            "instances.propose",
            lambda p, by, at=at: p.graph.instances.propose(
                at(p), "order.refund", {"orderId": "W-78"}, principal=by, key="k"
            ),
            how,
        )
        yield Entry(
            "instances.apropose",
            lambda p, by, at=at: asyncio.run(
                p.graph.instances.apropose(at(p), "order.refund", {"orderId": "W-78"}, principal=by, key="k")
            ),
            how,
        )
    yield Entry(
        "instances.start",
        lambda p, by: p.graph.instances.start(principal=by, workflow_id=p.graph.instances.id_of(THREAD)),
        begins=True,
    )
    yield Entry(
        "instances.astart",
        lambda p, by: asyncio.run(p.graph.instances.astart(principal=by, workflow_id=p.graph.instances.id_of(THREAD))),
        begins=True,
    )
    yield Entry("instances.heard", lambda p, by: p.graph.instances.heard(THREAD, "W-78", principal=by))
    yield Entry("instances.aheard", lambda p, by: asyncio.run(p.graph.instances.aheard(THREAD, "W-78", principal=by)))
    yield Entry("instances.proposal", lambda p, by: p.graph.instances.proposal(p.approval_id, by=by))
    yield Entry("instances.aproposal", lambda p, by: asyncio.run(p.graph.instances.aproposal(p.approval_id, by=by)))
    yield Entry("instances.withdraw", lambda p, by: p.graph.instances.withdraw(p.approval_id, by=by))
    yield Entry("instances.awithdraw", lambda p, by: asyncio.run(p.graph.instances.awithdraw(p.approval_id, by=by)))
    yield Entry("instances.head", lambda p, by: p.graph.instances.head(THREAD, by=by))
    yield Entry("instances.fork", lambda p, by: p.graph.instances.fork(THREAD, thread_id="t-2", principal=by))
    yield Entry("instances.rejoin", lambda p, by: p.graph.instances.rejoin(THREAD, principal=by))
    yield Entry("instances.ahead", lambda p, by: asyncio.run(p.graph.instances.ahead(THREAD, by=by)))
    yield Entry(
        "instances.afork",
        lambda p, by: asyncio.run(p.graph.instances.afork(THREAD, thread_id="t-2", principal=by)),
    )
    yield Entry("instances.arejoin", lambda p, by: asyncio.run(p.graph.instances.arejoin(THREAD, principal=by)))
    yield Entry("instances.aapproval", lambda p, by: asyncio.run(p.graph.instances.aapproval(p.approval_id, by=by)))
    yield Entry("instances.acard", lambda p, by: str(asyncio.run(p.graph.instances.acard(p.approval_id, by=by))))
    yield Entry("graph.aside_by_side", lambda p, by: str(asyncio.run(p.graph.aside_by_side(THREAD, by=by))))
    yield Entry(
        "graph.acompare",
        lambda p, by: str(asyncio.run(p.graph.acompare(THREAD, THREAD, by=by))._repr_mimebundle_()),
    )
    yield Entry("instances.approval", lambda p, by: p.graph.instances.approval(p.approval_id, by=by))
    yield Entry("instances.remind", lambda p, by: p.graph.instances.remind(p.approval_id, by=by).approval_id)
    yield Entry(
        "instances.aremind", lambda p, by: asyncio.run(p.graph.instances.aremind(p.approval_id, by=by)).approval_id
    )
    yield Entry("instances.card", lambda p, by: str(p.graph.instances.card(p.approval_id, by=by)))
    yield Entry("instances.why_not_decide", lambda p, by: p.graph.instances.why_not_decide(p.approval_id, by=by))
    yield Entry(
        "instances.awhy_not_decide", lambda p, by: asyncio.run(p.graph.instances.awhy_not_decide(p.approval_id, by=by))
    )
    yield Entry("graph.stepper", lambda p, by: str(p.graph.stepper(THREAD, context=by)))
    yield Entry("stepper.picture", lambda p, by: p.graph.stepper(THREAD, context=by).picture().svg)
    yield Entry("stepper.say", lambda p, by: p.graph.stepper(THREAD, context=by).say("B-INJECT"), begins=True)
    yield Entry("stepper.next", lambda p, by: p.graph.stepper(THREAD, context=by).next)
    yield Entry("stepper.waits_for", lambda p, by: p.graph.stepper(THREAD, context=by).waits_for)
    yield Entry("stepper.step", lambda p, by: p.graph.stepper(THREAD, context=by).step().last)
    yield Entry("stepper.run", lambda p, by: [*p.graph.stepper(THREAD, context=by).run()])
    yield Entry("stepper.watch", lambda p, by: p.graph.stepper(THREAD, context=by).watch(str))
    yield Entry("stepper.apicture", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).apicture()).svg)
    yield Entry(
        "stepper.asay", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).asay("B-INJECT")), begins=True
    )
    yield Entry("stepper.anext", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).anext()))
    yield Entry("stepper.awaits_for", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).awaits_for()))
    yield Entry("stepper.astep", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).astep()).last)
    yield Entry("stepper.arun", lambda p, by: acollected(p.graph.stepper(THREAD, context=by).arun()))
    yield Entry("stepper.awatch", lambda p, by: asyncio.run(p.graph.stepper(THREAD, context=by).awatch(str)))


def decisions() -> Iterator[Entry]:
    """The ways to decide, which the approval's own rule judges."""
    yield Entry("instances.decide", lambda p, by: p.graph.instances.decide(p.approval_id, "approve", by=by))
    yield Entry(
        "instances.adecide", lambda p, by: asyncio.run(p.graph.instances.adecide(p.approval_id, "approve", by=by))
    )
    yield Entry("instances.reassign", lambda p, by: p.graph.instances.reassign(p.approval_id, "zoe", by=by))
    yield Entry(
        "instances.areassign", lambda p, by: asyncio.run(p.graph.instances.areassign(p.approval_id, "zoe", by=by))
    )
    yield Entry("stepper.answer", lambda p, by: p.graph.stepper(THREAD).answer("approve", by=by))
    yield Entry("stepper.aanswer", lambda p, by: asyncio.run(p.graph.stepper(THREAD).aanswer("approve", by=by)))


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LISTED = {
    "instances.approvals": "lists what they are asked about, of their tenant (test_a_list_holds_what_concerns_who_looks)",
    "instances.cancel": "by the workflow's own rule (tests/commands/cancelling/test_who_and_when.py)",
    "instances.delegate": "a person's own, about themselves (tests/graphs/case_rules/test_absent_approvers.py)",
    "instances.end_delegation": "a person's own (test_only_the_person_makes_and_ends_their_delegation)",
    "instances.delegations": "lists their own, of their tenant (test_a_delegation_holds_from_its_beginning_to_its_end_by_the_store_clock)",
    "instances.raise_budget": "by the budget's own rule (tests/commands/budgets/test_budgets.py)",
    "instances.resolve": "an operator's, of the tenant (tests/security/test_resolving.py)",
    "instances.follow": "the application's: lets happen what was decided, as the library itself",
    "instances.afollow": "as follow",
    "instances.why_not_follow": "the application's: says whether an instance has a thread",
    "instances.awhy_not_follow": "as why_not_follow",
    "instances.id_of": "counts the id from the config and reads nothing",
    "instances.tick": "the application's: keeps deadlines as the library itself",
    "instances.atick": "as tick",
    "instances.outcomes": "the application's: counts of a tenant that it names",
    "instances.tool_stats": "the application's: counts of a tenant that it names",
    "instances.examples": "the application's: of a tenant that it names",
    "card.shown": "as instances.approval (test_a_card_that_was_handed_on_shows_nothing)",
    "card.why_not": "as instances.why_not_decide",
    "card.awhy_not": "as instances.why_not_decide",
    "card.may_reject": "as instances.why_not_decide",
    "card.amay_reject": "as instances.why_not_decide",
    "card.approve": "as instances.decide",
    "card.edit": "as instances.decide",
    "card.reject": "as instances.decide",
    "card.answer": "as instances.decide",
    "card.outcome": "as card.shown",
    "card.rows": "as card.shown",
    "card.svg": "as card.shown",
    "deliveries.deliver": "an event is of one tenant",
    "deliveries.adeliver": "as deliver",
    "deliveries.again": "the application's: delivers again what stands in the inbox",
    "deliveries.resume": "the application's: lets graphs go on as the library itself",
    "deliveries.aresume": "as resume",
    "deliveries.tick": "the application's: keeps deadlines as the library itself",
    "deliveries.atick": "as tick",
    "deliveries.envelope": "reads an event and no instance but the one that the application names",
    "deliveries.keep_unreadable": "writes what is no event into the inbox",
    "deliveries.needs_loop": "about the definition",
    "deliveries.ticking": "the body of tick and atick",
    "service.on": "adds a consumer of this process",
    "runs.start": "tests/engines/test_runs.py (test_strangers_enqueue_nothing_on_somebody_elses_thread)",
    "runs.astart": "as runs.start",
    "runs.resume": "as runs.start",
    "runs.aresume": "as runs.start",
    "runs.wake": "as runs.start",
    "runs.awake": "as runs.start",
    "runs.when_due": "called in the transaction that makes a run due, of the instance that it is about",
    "runs.list": "the application's: of a tenant that it names",
    "runs.retry": "the application's: of a tenant that it names (test_a_run_that_is_cancelled_is_retried_when_a_person_says_so)",
    "runs.cancel": "as runs.retry",
    "runs.alist": "as runs.list",
    "runs.aretry": "as runs.retry",
    "runs.acancel": "as runs.cancel",
    "runs.setup": "makes tables",
    "runs.per_tenant": "a number that the application gave",
    "runs.close": "gives the database back",
    "service.run": "the application's: relay, subscriptions and deadlines as the library itself",
}
"""What is no look-up for somebody, and why, or where it is tested."""
TWINS = words(
    """
    instances.approvals instances.cancel instances.delegate instances.end_delegation instances.delegations
    instances.raise_budget instances.resolve instances.outcomes instances.tool_stats instances.examples card.shown card.approve card.edit
    card.reject card.answer card.outcome card.rows card.svg deliveries.again deliveries.envelope deliveries.keep_unreadable
    """
)
"""Of these the ones whose async form is guarded as they are, because it does the same."""
LISTED |= {name.replace(".", ".a", 1): f"as {name}" for name in TWINS}
ABOUT_THE_GRAPH = words(
    """
    InputType OutputType adopt aget_graph as_tool assign attach_branch attach_edge attach_node bind builder cache cache_policy
    checkpointer clear_cache aclear_cache config config_schema config_specs context_schema copy engine get_config_jsonschema
    get_context_jsonschema get_graph get_input_jsonschema get_input_schema get_name get_output_jsonschema get_output_schema get_prompts
    get_subgraphs aget_subgraphs input_schema instances lc_attributes map name output_schema pick picture pipe retry_policy
    step_timeout store stream_channels stream_channels_asis stream_channels_list stream_eager stream_mode validate
    with_alisteners with_fallbacks with_listeners with_retry with_types
    """
)
"""Of a compiled graph: what says something about the workflow, or makes another runnable that runs it by the ways above."""
MIDDLEWARE = words(
    """
    after_agent aafter_agent after_model aafter_model before_model abefore_model before_agent abefore_agent wrap_model_call
    awrap_model_call wrap_tool_call awrap_tool_call instances name state_schema tools trace_policy transformers
    """
)
"""Of the middleware: what an agent calls (tests/security/test_forged_values.py), and what is about it."""
