"""The events between the workflow and the process that sends messages."""

from typing import Literal

from ...tools.events import Event

Channel = Literal["email", "sms", "push"]


class MessageRequested(Event, name="engagement.message.requested"):
    """A message is to be sent. Nobody has sent it yet."""

    customer_id: str
    channel: Channel
    template: str


class MessageDelivered(Event, name="engagement.message.delivered"):
    """A message has reached its customer over one channel."""

    customer_id: str
    channel: Channel


class MessageFailed(Event, name="engagement.message.failed"):
    """A message will not reach its customer over one channel."""

    customer_id: str
    channel: Channel
    reason: str
