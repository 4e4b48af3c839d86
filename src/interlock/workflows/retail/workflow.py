"""The retail desk: the policy of a shop's customer service as states, edges, guards, checks and confirmations.

    unidentified --customer.find_by_email, customer.find_by_name--> identified
    identified   --seven changes of orders and the profile, each confirmed by the customer--> identified
    either       --desk.hand_over--> handed_over

The rules are those of tau2-bench's retail policy (`rules` names the source). None of them depends on the prompt:

| rule | enforced by |
|---|---|
| the customer is identified first, even one who gives a user ID | no other tool has an edge out of `unidentified` |
| one customer per conversation | no tool that finds a customer has an edge out of `identified`, and tools use the customer in the data |
| nobody else continues with an identified customer | only the person served may run an instance (`run_by`) |
| only their own orders and profile | checks on the shop's rows |
| the right status, at most once, the money, the items | checks, by the same rules as the operations |
| nothing is changed before the customer confirms exactly that | a confirmation on each of the seven edges, bound to the preview |
| a repeated yes does not confirm the next question | answers must name their request; a yes in the chat answers the last question |
| one tool call at a time | the limit on the proposals of one message |
| a hand-over ends the desk's work | `handed_over` is final |

The policy allows an agent to give information about orders, profiles *and products* "once the user has been authenticated"; so
products and the calculator are also only offered then.
"""

from langchain_core.language_models import BaseChatModel

from ...checkpointing import Database, WorkflowStore
from ...graphs.workflow import Workflow
from ...rules.definition import Limits, Prompt
from ...rules.origins import Origin, TrustedOrigins
from ...tools.approvals import Approval, Confirmation
from . import tools
from .claims import CLAIMS
from .sample_shop import sample_shop
from .shop import Shop, create_tables, is_empty, load
from .tools import CHANGING, IDENTIFYING, LOOKING_UP, DeskData

UNIDENTIFIED = "unidentified"
IDENTIFIED = "identified"
HANDED_OVER = "handed_over"

PROMPT = (
    "You are at the customer service desk of a shop. Be brief and friendly, speak the customer's language, and say only "
    "what the customer or the tools told you; give no opinions of your own. When you call a tool, say nothing beside it."
)
"""Manners only, no rules: without this prompt, nothing more becomes possible."""

TRANSFER_NOTICE = "YOU ARE BEING TRANSFERRED TO A HUMAN AGENT. PLEASE HOLD ON."
"""The text that an application shows the customer when the desk reaches `handed_over`, where no model runs any more."""

CONFIRMATION = Confirmation(named=True)
"""The customer confirms exactly this call; a yes that does not name its request does not count."""

OWN_RECORDS = (Origin.USER, Origin.APP, Origin.RECORD, Origin.LISTED)
"""The origins that `retail_workflow(origins=)` can accept and rarely require an approval: everything that the desk reads is the catalogue
or belongs to the customer whom it serves, so a record that nobody named belongs to that customer as well.
"""


def retail_workflow(
    model: BaseChatModel | str | None = None,
    *,
    prompt: Prompt | None = PROMPT,
    limits: Limits | None = None,
    confirmation: Approval = CONFIRMATION,
    origins: TrustedOrigins | None = None,
) -> Workflow:
    """Build the desk.

    Args:
        model: The chat model that serves the customer, or its name. Without one, the desk can be drawn, and moved from outside.
        prompt: The system prompt; no rule depends on it.
        limits: Limits on one turn; by default one call per message.
        confirmation: How a customer confirms a change: `Confirmation(chat=True)` asks in the conversation, and
            `Confirmation(named=True, within="30m")` waits for half an hour.
        origins: Requires an additional approval for a change with values that come neither from the customer's words nor from the shop's
            records, such as `TrustedOrigins(accepts=OWN_RECORDS, otherwise=Approval(role="supervisor"))`. Without it, the customer's words
            and the outputs of tools are not stored for tracing.

    Returns:
        The workflow. Compile it with a store whose database has the shop's tables (`open_shop`).
    """
    desk = Workflow(
        "retail-desk",
        data=DeskData,
        model=model,
        prompt=prompt,
        # If a model sends several calls at once, all but the first are denied: one full message must not stop the run.
        limits=limits or Limits(proposals=1, denials=10),
        policies=[] if origins is None else [origins],
    )
    desk.add_state(UNIDENTIFIED)
    desk.add_state(IDENTIFIED, tools=LOOKING_UP)
    desk.add_state(HANDED_OVER, final=True)
    for tool in IDENTIFYING:
        desk.add_edge(UNIDENTIFIED, tool, IDENTIFIED)
    for tool in CHANGING:
        desk.add_edge(IDENTIFIED, tool, IDENTIFIED, approval=confirmation)
    for state in (UNIDENTIFIED, IDENTIFIED):
        desk.add_edge(state, tools.hand_over, HANDED_OVER)
    return desk.claims(*CLAIMS)


def open_shop(database: Database | WorkflowStore, shop: Shop | None = None) -> None:
    """Prepare a database for the desk: create missing tables of the shop, and fill an empty shop.

    The desk changes the shop in the transaction of its own record, so both must be in the same database.

    Args:
        database: The database of the workflow store: `graph.engine.store`, or a checkpointer's `database`.
        shop: The shop to load if there is none; by default the sample shop. An existing shop is unchanged.
    """
    opened = database.database if isinstance(database, WorkflowStore) else database
    with opened.write() as connection:
        create_tables(connection)
        if is_empty(connection):
            load(connection, sample_shop() if shop is None else shop)
