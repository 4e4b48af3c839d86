"""Webhooks: events sent to an address, signed, and sent again until they arrive. Open `sender.py` first."""

from .sender import Sent, Webhooks
from .webhook import Webhook

__all__ = ["Sent", "Webhook", "Webhooks"]
