"""The engagement workflow: a message is requested over several channels, and the case is closed when each has delivered it."""

import datetime as dt
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from ...graphs.workflow import Workflow
from ...rules.claims import Claim, always_possible, at_most, before, final, state
from ...tools.context import ToolContext
from ...tools.contracts import command
from .events import Channel, MessageDelivered, MessageFailed, MessageRequested


class EngagementData(BaseModel):
    """What is known of one engagement."""

    customer_id: str = ""
    template: str = ""
    channels: list[Channel] = []
    reached: list[Channel] = []
    """The channels over which the message was delivered, in the order of their reports."""


class Requested(BaseModel):
    """How many messages were asked for."""

    requested: int


@command("engagement.send", effect="transactional")
def send_message(
    customer_id: str, template: str, channels: list[Channel], ctx: ToolContext[EngagementData]
) -> Requested:
    """Ask for a message to be sent to a customer over one or more channels."""
    chosen: list[Channel] = sorted(set(channels))
    ctx.data.customer_id, ctx.data.template, ctx.data.channels = customer_id, template, chosen
    for channel in chosen:
        ctx.emit(MessageRequested(customer_id=customer_id, channel=channel, template=template))
    return Requested(requested=len(chosen))


CLAIMS: tuple[Claim, ...] = (
    at_most(send_message, 1),
    before(state("closed") | state("escalated"), send_message),
    always_possible(final),
)
"""The claims that are proved for every path when the workflow is compiled."""


def engagement_workflow(
    model: BaseChatModel | str | None = None, *, within: str | dt.timedelta = "2h", name: str = "engagement"
) -> Workflow:
    """Build the workflow: `draft`, then `dispatched` until every channel has delivered, then `closed`; `escalated` if one failed or
    the deadline came first.

    Args:
        model: The chat model that proposes in `draft`; without one, request the message with `graph.instances.execute`.
        within: The time limit for the deliveries.
        name: The workflow's name.
    """
    flow = Workflow(name, data=EngagementData)
    flow.add_state("draft", model=model)
    flow.add_wait(
        "dispatched",
        for_event=MessageDelivered,
        each="channels",
        part="channel",
        apply=_reached,
        failed_by=MessageFailed,
        within=within,
        then="closed",
        on_timeout="escalated",
        on_failure="escalated",
    )
    flow.add_state("closed", final=True)
    flow.add_state("escalated", final=True)
    flow.add_edge("draft", send_message, "dispatched", check=some_channel)
    return flow.claims(*CLAIMS)


def some_channel(channels: list[Channel]) -> bool | str:
    """A message needs a way to go."""
    return bool(channels) or "a message needs at least one channel"


def _reached(data: Any, event: Any) -> None:
    if isinstance(event, MessageDelivered):
        data.reached.append(event.channel)
