"""The case workflow: from validated to queued to closed.

    validated --case.assign--> queued        the case is not assigned yet, and the queue is open
    queued    --queue.reassign--> queued     at most three times, each with a supervisor's approval of the exact call
    queued    --case.close--> closed         once the queue is known to have answered

Cases can be looked up before they are assigned; `queue.status` reads the queue, and records when it has answered.
"""

from langchain_core.language_models import BaseChatModel

from ...checkpointing import Database, WorkflowStore
from ...graphs.workflow import Workflow
from ...rules.claims import (
    Claim,
    always_possible,
    any_write,
    approval,
    at_most,
    before,
    calls,
    every,
    final,
    never,
    never_after,
    starts_with,
    state,
)
from ...rules.conditions import Add, field, one_of
from ...rules.definition import Prompt
from ...tools.approvals import Approval
from . import tools
from .tables import create_tables, load_sample_cases

VALIDATED = "validated"
QUEUED = "queued"
CLOSED = "closed"

MOST_REASSIGNMENTS = 3

PROMPT = "You route cases to the queues of a service centre. Be brief, and say only what the tools told you."


IS_ANSWERED = field("answered").equals(True).named("is_answered")
"""The customer has an answer."""
MAY_BE_MOVED = (field("reassigned").below(MOST_REASSIGNMENTS) & ~IS_ANSWERED).named("may_be_moved")
"""The case may be moved to another queue: only a few times, and only before its customer has an answer."""

CLAIMS: tuple[Claim, ...] = (
    every(tools.reassign_case).needs(approval(role="supervisor")),
    at_most(tools.reassign_case, MOST_REASSIGNMENTS).assuming(starts_with(reassigned=0)),
    before(tools.close_case, tools.assign_case),
    before(tools.close_case, tools.queue_status).assuming(starts_with(answered=False)),
    never(state(CLOSED) & ~calls(tools.close_case)),
    never_after(tools.close_case, any_write),
    at_most(tools.assign_case, 1),
    before(calls(tools.queue_status, tools.reassign_case), tools.assign_case),
    always_possible(final),
)
"""The claims that are proved for every path when the workflow is compiled."""


def case_workflow(model: BaseChatModel | str | None = None, *, prompt: Prompt | None = PROMPT) -> Workflow:
    """Build the workflow.

    Args:
        model: The chat model that routes the case, or its name. Without one, the workflow can be drawn, and moved from outside.
        prompt: The system prompt; no rule depends on it.

    Returns:
        The workflow. Compile it with a store whose database has the tables of cases (`open_cases`).
    """
    flow = Workflow("case", data=tools.CaseData, model=model, prompt=prompt)
    flow.add_state(VALIDATED, tools=[tools.get_case])
    flow.add_state(QUEUED)
    flow.add_edge(QUEUED, tools.queue_status, QUEUED, sets={"answered": one_of(False, True)})
    flow.add_state(CLOSED, final=True)
    flow.add_edge(VALIDATED, tools.assign_case, QUEUED)
    flow.add_edge(
        QUEUED,
        tools.reassign_case,
        QUEUED,
        guard=MAY_BE_MOVED,
        sets={"reassigned": Add(1)},
        approval=Approval(role="supervisor", within="24h"),
    )
    flow.add_edge(QUEUED, tools.close_case, CLOSED, guard=IS_ANSWERED)
    return flow.claims(*CLAIMS)


def open_cases(database: Database | WorkflowStore) -> None:
    """Prepare a database for the workflow: create the tables of cases, and fill empty ones with a few.

    The tools change cases in the transaction of the workflow's own record, so both must be in the same database.

    Args:
        database: The database of the workflow store: `graph.engine.store`, or a checkpointer's `database`.
    """
    opened = database.database if isinstance(database, WorkflowStore) else database
    with opened.write() as connection:
        create_tables(connection)
        load_sample_cases(connection)
