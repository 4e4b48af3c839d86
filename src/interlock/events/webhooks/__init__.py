"""Webhooks: sends signed events to an address, with retries. Open `sender.py` first."""

from .sender import Sent, Webhooks
from .webhook import Webhook

__all__ = ["Sent", "Webhook", "Webhooks"]
