"""The process that sends messages: `python -m interlock.workflows.engagement.consumer --bus nats://…`.

It receives requests from the broker, and answers each with a delivery, or with a failure for broken channels. It has no database and
does not depend on workflows: its answer refers to the event that it received.
"""

import argparse
import asyncio
import sys

from ...events import Bus, Message, WireFormat, message_of, reply
from ...events.brokers import open_bus
from ...events.running import until_stopped
from ...tools.events import Event
from .events import MessageDelivered, MessageFailed, MessageRequested

SOURCE = "/engagement/sender"


class Sender:
    """Answers requests for messages.

    Args:
        bus: The bus to which answers are published.
        broken: The channels for which sending fails.
        silent: The channels for which no answer is ever published.
    """

    def __init__(self, bus: Bus, *, broken: frozenset[str] = frozenset(), silent: frozenset[str] = frozenset()) -> None:
        self._bus = bus
        self._broken = broken
        self._silent = silent

    async def __call__(self, message: Message) -> None:
        """Simulate sending one message, and publish the result."""
        request = message.envelope()
        known = {key: request.fields[key] for key in ("customerId", "channel", "template")}
        asked = MessageRequested.model_validate(known)
        if asked.channel in self._silent:
            return
        answer: Event = MessageDelivered(customer_id=asked.customer_id, channel=asked.channel)
        if asked.channel in self._broken:
            answer = MessageFailed(
                customer_id=asked.customer_id, channel=asked.channel, reason=f"no way to send over {asked.channel}"
            )
        prefix = getattr(self._bus, "header_prefix", "ce-")
        await self._bus.publish(
            message_of(reply(request, answer, source=SOURCE), wire=WireFormat.BINARY, prefix=prefix)
        )


def main() -> None:
    """Send messages until stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--bus", required=True, metavar="URL", help="the broker, such as nats://host:4222")
    parser.add_argument("--prefix", default="interlock", help="begins every name that is used at the broker")
    parser.add_argument("--broken", action="append", default=[], metavar="CHANNEL", help="a channel that fails")
    parser.add_argument("--silent", action="append", default=[], metavar="CHANNEL", help="a channel that never answers")
    asked = parser.parse_args()

    async def work(stop: asyncio.Event) -> None:
        bus = open_bus(asked.bus, prefix=asked.prefix)
        sender = Sender(bus, broken=frozenset(asked.broken), silent=frozenset(asked.silent))
        async with bus, bus.subscribe([MessageRequested.name_on_wire], sender, consumer="engagement-sender"):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await stop.wait()

    until_stopped(work)


if __name__ == "__main__":
    main()
