"""The receiver of events, and the requests to it, signed according to Standard Webhooks (https://www.standardwebhooks.com)."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...tools.canonical import canonical_json
from ...tools.errors import InputError
from ...tools.events import EventEnvelope
from ...tools.urls import parts_of

NEEDED = "interlock.somebody.needed.v1"
"""What is sent unless something else is asked for: somebody is needed."""
Render = Callable[[EventEnvelope], Mapping[str, Any]]
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Webhook:
    """One address that events are sent to.

    Attributes:
        url: The receiver's address: `https`, or `http` on this machine. Redirects are not followed.
        secret: The signing secret, in the format of Standard Webhooks (`whsec_` and base64). Give several while you rotate secrets:
            a request then has one signature for each.
        name: Identifies the webhook in the database, which stores the deliveries.
        events: The names of the events, with their versions.
        render: Returns the JSON body for an event, for a service with its own format; by default the event in its wire form.
        timeout: The number of seconds in which the receiver must answer.

    Raises:
        InputError: The address or a secret cannot be used, or the extra is not installed.
    """

    url: str
    secret: str | tuple[str, ...]
    name: str = "webhook"
    events: tuple[str, ...] = (NEEDED,)
    render: Render | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        parts = parts_of(self.url, f"The address of the webhook {self.name!r}")
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not is_safe or not parts.hostname:
            raise InputError(
                f"The webhook {self.name!r} has no address that can be used: {parts.scheme}://{parts.hostname}. Nothing is sent; give an https URL, or an "
                "http one of this machine.",
                code="settings",
            )
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.name):
            raise InputError(
                f"A webhook cannot be named {self.name!r}; give up to 64 letters, digits, dots, dashes and underscores.",
                code="settings",
            )
        if not self.secrets:
            raise InputError(
                f"The webhook {self.name!r} has no secret, so receivers could not verify the sender. Nothing is sent.",
                code="settings",
            )
        for one in self.secrets:
            _signer(one)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets, the newest first."""
        return (self.secret,) if isinstance(self.secret, str) else tuple(self.secret)

    def __repr__(self) -> str:
        return f"Webhook({self.name!r}, {urlsplit(self.url).hostname!r})"  # neither the secret nor a token in the path

    def body(self, envelope: EventEnvelope) -> str:
        """The body of the request for an event, JSON."""
        if self.render is None:
            return canonical_json(envelope.to_json())
        return json.dumps(self.render(envelope), separators=(",", ":"))

    def headers(self, event_id: str, body: str, now: dt.datetime) -> dict[str, str]:
        """The headers with the event's id, the time and the signatures. The id is the same at every attempt."""
        signatures = [_signer(secret).sign(event_id, now, body) for secret in self.secrets]
        return {
            "Content-Type": "application/json",
            "User-Agent": "interlock-webhooks/1",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def names_of(hooks: Iterable[Webhook]) -> list[str]:
    """Every event that some webhook wants."""
    return sorted({name for hook in hooks for name in hook.events})


def _signer(secret: str) -> Any:
    try:
        import standardwebhooks  # noqa: PLC0415 -- an extra, imported when it is used
    except ImportError as error:
        raise InputError(
            "Webhooks take a package that is not installed. Install langgraph-interlock[webhooks].",
            code="not_installed",
        ) from error
    try:
        return standardwebhooks.Webhook(secret)
    except Exception as error:
        raise InputError(
            "The secret of a webhook cannot be read: it must be base64, with or without the prefix whsec_. Nothing is sent.",
            code="settings",
        ) from error


__all__ = ["NEEDED", "Webhook", "names_of"]
