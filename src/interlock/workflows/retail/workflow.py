"""The retail desk: the policy of a shop's customer service as states, edges, guards, checks and confirmations.

    unidentified --customer.find_by_email, customer.find_by_name--> identified
    identified   --seven changes of orders and the profile, each confirmed by the customer--> identified
    either       --desk.hand_over--> handed_over

The rules are those of tau2-bench's retail policy (`rules` names the source). None of them is said in a prompt:

| rule | what keeps it |
|---|---|
| the customer is identified first, even who gives a user ID | nothing else has an edge out of `unidentified` |
| one customer per conversation | nothing that finds a customer has an edge out of `identified`, and tools serve the one in the data |
| nobody else continues with an identified customer | the person served alone runs an instance (`run_by`) |
| only their own orders and profile | checks, by the shop's rows |
| the right status, at most once, the money, the items | checks, by the same rules that the operations run |
| nothing is changed before the customer said yes to exactly that | a confirmation on each of the seven edges, bound to what was shown |
| a yes that comes twice is no yes to what is asked next | answers have to say what they are about; a yes in the chat is an answer to what was shown last |
| one tool call at a time | the limit on the proposals of one message |
| handing over ends the desk's work | `handed_over` is final |

The policy lets an agent tell about orders, profiles *and products* "once the user has been authenticated"; so products and
sums, too, are only offered then.
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
"""Manners, and no rule: erase it, and nothing more becomes possible."""

TRANSFER_NOTICE = "YOU ARE BEING TRANSFERRED TO A HUMAN AGENT. PLEASE HOLD ON."
"""What an application tells the customer when the desk came to `handed_over`: no model speaks there any more."""

CONFIRMATION = Confirmation(named=True)
"""The customer says yes to exactly this call; a yes that does not say what it is about is none."""

OWN_RECORDS = (Origin.USER, Origin.APP, Origin.RECORD, Origin.LISTED)
"""The origins that `retail_workflow(origins=)` may accept without asking more than a few times: whatever the desk reads is the catalogue, or
belongs to the customer whom it serves, so that a record that nobody named is theirs as well.
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
        model: Who serves the customer: a chat model, or its name. Without one the desk can be drawn, and moved from outside.
        prompt: What the model is told first; no rule depends on it.
        limits: Bounds on one turn; one call per message unless this says otherwise.
        confirmation: How a customer confirms a change: `Confirmation(chat=True)` asks in the conversation, and
            `Confirmation(named=True, within="30m")` waits for half an hour.
        origins: Asks somebody about a change whose values come from elsewhere than the customer's words and the shop's records, beside
            the customer who confirms it; such as `TrustedOrigins(accepts=OWN_RECORDS, otherwise=Approval(role="supervisor"))`. Without it
            nothing of what is said and read is kept for that.

    Returns:
        The workflow. Compile it with a store whose database holds the shop's tables (`open_shop`).
    """
    desk = Workflow(
        "retail-desk",
        data=DeskData,
        model=model,
        prompt=prompt,
        # A model that sends several calls at once has all but the first denied: a full message of them is no reason to stop.
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
    """Make a database ready for the desk: create the shop's tables where they are missing, and fill an empty shop.

    The desk changes the shop in the transaction of its own record, so both are in one database.

    Args:
        database: That of the workflow store: `graph.engine.store`, or a checkpointer's `database`.
        shop: What to load into an empty shop; the sample shop by default. A shop that has customers is left as it is.
    """
    opened = database.database if isinstance(database, WorkflowStore) else database
    with opened.write() as connection:
        create_tables(connection)
        if is_empty(connection):
            load(connection, sample_shop() if shop is None else shop)
