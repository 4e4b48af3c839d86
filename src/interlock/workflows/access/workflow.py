"""The access desk: from a request to a grant, and from the grant to its end.

open    --people.get--> open           looks up the person and their manager
open    --access.grant--> granted      the manager approves, and gives the reason; for 90 days, the role security approves too
granted --people.left--> ending        a person who leaves loses access
granted --its deadline--> ending       after the granted 7 or 90 days
granted --access.end--> closed         somebody with the role security ends it early
ending  --access.end--> closed         automatically
"""

import datetime as dt

from langchain_core.language_models import BaseChatModel

from ...graphs.workflow import Workflow
from ...nodes.models import DecisionView
from ...rules.claims import Claim, approval, at_most, before, every
from ...rules.definition import Prompt
from ...rules.policies import Allow, Policy, ProposalView, RequireApproval, Ruling
from ...rules.view import GuardView
from ...tools.approvals import Approval, Escalate
from . import tools

OPEN = "open"
GRANTED = "granted"
ENDING = "ending"
CLOSED = "closed"

PROMPT = "You help people to get access to systems. Look up the person first. Be brief, and say only what the tools told you."
SECURITY = "security"
CLAIMS: tuple[Claim, ...] = (
    every(tools.grant_access).needs(approval()),
    at_most(tools.grant_access, 1),
    before(tools.end_access, tools.grant_access),
)
"""The claims that are proved for every path when the workflow is compiled."""


class LongGrants(Policy):
    """A policy: a grant of 90 days requires an approval by the role security, after the manager's."""

    def judge(self, proposal: ProposalView) -> Ruling:
        """Require an approval for grants of more than a month."""
        if proposal.tool.name == tools.grant_access.name and proposal.arguments["days"] > 30:
            return RequireApproval(Approval(role=SECURITY, within="3d", edit=False), "it is for more than a month")
        return Allow()

    def may_require_approval(self, tool: object) -> bool:
        """Whether it may require an approval for a tool."""
        return getattr(tool, "name", None) == tools.grant_access.name


def knows_the_manager(view: GuardView) -> bool:
    """The person was looked up, so that the decider is known."""
    return view.data.manager is not None


def manager(view: GuardView) -> str:
    """The decider: the manager of the person who gets access."""
    return str(view.data.manager)


def end_of_next_day(view: GuardView) -> dt.datetime:
    """The manager's deadline."""
    return (view.now + dt.timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def has_security(view: GuardView) -> bool:
    """The proposer has the role security."""
    return view.principal.has_role(SECURITY)


def left(data: tools.AccessData, event: tools.PersonLeft) -> None:
    """Record why the access ends."""
    data.ends_because = f"{event.person} left"


def end_it(view: DecisionView) -> object:
    """End the access, after its deadline or the event."""
    return tools.end_access, {"reason": view.data.ends_because or "its time is over"}


def access_workflow(model: BaseChatModel | str | None = None, *, prompt: Prompt | None = PROMPT) -> Workflow:
    """Build the workflow.

    Args:
        model: The chat model that helps the person, or its name. Without one, the workflow can be drawn, and moved from outside.
        prompt: The system prompt; no rule depends on it.

    Returns:
        The workflow. Compile it with a store whose database has the tables of people and grants (`open_access`).
    """
    flow = Workflow(
        "access", data=tools.AccessData, model=model, prompt=prompt, policies=[LongGrants()], run_by=SECURITY
    )
    flow.add_state(OPEN, tools=[tools.get_person])
    flow.add_edge(
        OPEN,
        tools.grant_access,
        GRANTED,
        guard=knows_the_manager,
        approval=Approval(by=manager, within=end_of_next_day, edit=False, on_expiry=Escalate(SECURITY, within="1d")),
    )
    flow.add_wait(
        GRANTED,
        for_event=tools.PersonLeft,
        key="person",
        then=ENDING,
        apply=left,
        within=lambda view: view.data.until,
        on_timeout=ENDING,
    )
    flow.add_edge(GRANTED, tools.end_access, CLOSED, guard=has_security)
    flow.add_state(ENDING, decide=end_it)
    flow.add_edge(ENDING, tools.end_access, CLOSED)
    flow.add_state(CLOSED, final=True)
    return flow.claims(*CLAIMS)
