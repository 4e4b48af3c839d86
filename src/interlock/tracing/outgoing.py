"""Masks secrets and sensitive fields in traces, and lets applications restrict everything else.

A tracing service stores traces, and people read them who may not see the database. So one place decides what is sent, for
inputs, outputs, errors, metadata and events.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import os
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from ..tools.redaction import MASK, Secrets, hide_fields, is_secret

WITHHELD = "(withheld)"
"""Replaces withheld conversation text, and values that are not on the allow-list."""

_DATA = frozenset({"args", "arguments", "data", "output", "initial_data", "edited_arguments", "correction"})
"""The keys of the application's own values, to which the allow-list applies."""
_TEXTS = frozenset({"content", "text", "reasoning_content", "refusal", "prompt", "prompts", "description", "preview"})
"""The keys of conversation text, in messages and in the output of models."""
_SHORT = 100
"""Texts below this length are mostly names and ids, which repeat, so their results are cached."""
_REMEMBERED = 2000
_LONGEST_PARSED = 1_000_000
_SECRET_TEXT = re.compile(
    r"(?P<keep>\b(?:bearer|basic)\s+|://[^\s:/@]+:|\b(?:password|passwd|secret|api[_-]?key|token)\s*[=:]\s*)"
    r"(?!\*\*\*)[^\s\"',;&@]{4,}"
    r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}|\blsv2_[a-z]{2}_[A-Za-z0-9_]{16,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}"
    # Only at the start of a token, so that text with many possible starts is read once.
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    re.IGNORECASE,
)

_registered: frozenset[str] = frozenset()


def register_sensitive(names: Iterable[str]) -> None:
    """Mask these fields in every trace of this process. Compiling a workflow calls this with the sensitive fields of its contracts."""
    global _registered  # noqa: PLW0603 -- every tracer, also one that somebody made himself, must know them
    _registered |= frozenset(names)


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """The parts of a workflow that may be sent in a trace.

    Always masked are fields whose names indicate a secret, the sensitive fields of every contract in the process, and texts that look
    like credentials. If a text that is sent later in the same trace contains the value of a masked field, such as an error that quotes
    it, the value is masked there as well.
    """

    sensitive: Collection[str] = ()
    """More fields to mask: names, at any depth, or paths such as `customer.address.zip`."""
    allow: Collection[str] | None = None
    """If given, only these fields of tool arguments, outputs and workflow data are sent with their values."""
    conversation: bool = True
    """Whether the text of the conversation is sent. Without it, a trace still shows every step, call and result code."""
    configurable: Collection[str] = ()
    """Keys of `configurable` to show in metadata, in addition to thread and workflow; LangGraph copies all of them there."""

    def mask(self, memory: "Memory | None" = None) -> "Mask":
        """Return the masking function for one trace."""
        return Mask(self, Memory() if memory is None else memory)


_default: Outgoing | None = None


def configure(outgoing: Outgoing) -> None:
    """Set the masking rules for all workflows of this process, except those whose tracer has its own."""
    global _default  # noqa: PLW0603 -- tracing is switched on for a process, by its environment, and narrowed down so too
    _default = outgoing


def default_outgoing() -> Outgoing:
    """The value set by `configure`; by default everything except masked values, and without the conversation if the environment
    variable `INTERLOCK_TRACE_CONVERSATION` is `false`.
    """
    if _default is not None:
        return _default
    return Outgoing(
        conversation=os.environ.get("INTERLOCK_TRACE_CONVERSATION", "true").lower() not in {"false", "0", "no"}
    )


@dataclasses.dataclass
class Memory:
    """The state of masking for one trace."""

    learned: Secrets = dataclasses.field(default_factory=Secrets)
    """Values of masked fields."""
    seen: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """Repeated messages and tool definitions: their original and masked forms."""


class Mask:
    """Converts anything to masked plain data.

    Args:
        outgoing: The rules.
        memory: The state of the trace, which it extends.
    """

    def __init__(self, outgoing: Outgoing, memory: Memory) -> None:
        self._outgoing = outgoing
        self._memory = memory
        self._learned = memory.learned
        self._hidden: dict[str, bool] = {}
        names, paths = _marks(frozenset(outgoing.sensitive) | _registered)
        self._names, self._paths = names, paths
        self._allow = None if outgoing.allow is None else frozenset(_plain(name) for name in outgoing.allow)

    def value(self, value: Any) -> Any:
        """Mask inputs, outputs and other data."""
        return self._twice(value)

    def text(self, text: str) -> str:
        """Mask an error or another single text."""
        if not self._outgoing.conversation:
            # An error may quote the conversation; its first word, the type, is enough.
            return re.match(r"[\w.]*", text)[0] + f"({WITHHELD})"  # type: ignore[index]
        return self._text(text)

    def metadata(self, values: Mapping[str, Any], withheld: Collection[str] = ()) -> dict[str, Any]:
        """Mask metadata, without the withheld names."""
        kept = {name: value for name, value in values.items() if name not in withheld}
        cleaned: dict[str, Any] = self._twice(kept)
        return cleaned

    def _twice(self, value: Any) -> Any:
        """Mask a value, and mask it again if it revealed a new secret, which may be quoted before its field."""
        before = len(self._learned)
        cleaned = self._clean(value, (), closed=False)
        return cleaned if len(self._learned) == before else self._clean(value, (), closed=False)

    def _clean(self, value: Any, path: tuple[str, ...], *, closed: bool) -> Any:
        # The most common types come first, because this code runs for every value of every run.
        kind = type(value)
        if kind is str:
            return self._string(value, path, closed=closed)
        if value is None or kind is bool:
            return value
        if kind is dict:
            return self._mapping(value, path, closed=closed)
        if kind is list:
            return self._items(value, path, closed=closed)
        return self._rarely(value, path, closed=closed)

    def _rarely(self, value: Any, path: tuple[str, ...], *, closed: bool) -> Any:
        match value:
            case enum.Enum():
                return self._clean(value.value, path, closed=closed)
            case str():
                return self._string(value, path, closed=closed)
            case int() | float() | decimal.Decimal() | dt.date() | dt.time() | dt.timedelta() | uuid.UUID():
                return WITHHELD if closed and not self._allowed(path) else value
            case BaseMessage():
                return self._mapping(value.__dict__, path, closed=closed)
            case Mapping():
                return self._mapping(value, path, closed=closed)
            case list() | tuple() | set() | frozenset():
                return self._items(list(value), path, closed=closed)
            case BaseModel():
                return self._mapping(value.__dict__, path, closed=closed)
            case BaseException():
                return self.text(repr(value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
            return self._mapping(fields, path, closed=closed)
        if hasattr(value, "node") and hasattr(value, "arg"):  # LangGraph's Send
            return self._mapping({"node": value.node, "arg": value.arg}, path, closed=closed)
        # The text of any other object may contain anything.
        return f"<{type(value).__name__}>"

    def _mapping(self, value: Mapping[Any, Any], path: tuple[str, ...], *, closed: bool) -> dict[str, Any]:
        known = _identity(value)
        if known is None:
            return self._fields(value, path, closed=closed)
        seen = self._memory.seen.get(known)
        if seen is not None and seen[0] == value:
            found: dict[str, Any] = seen[1]
            return found
        before = len(self._learned)
        cleaned = self._fields(value, path, closed=closed)
        if len(self._learned) != before or len(self._memory.seen) > _REMEMBERED:
            self._memory.seen.clear()  # cached forms may contain a value that is now known to be a secret
        self._memory.seen[known] = (value, cleaned)
        return cleaned

    def _fields(self, value: Mapping[Any, Any], path: tuple[str, ...], *, closed: bool) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        told = self._value_key(value)
        plainly = not closed and not self._paths and not self._learned and self._outgoing.conversation
        for key, item in value.items():
            name = key if type(key) is str else str(key)
            hidden = self._is_hidden(name) or name == told
            if self._learned:
                name = self._learned.text(name)
            if plainly and not hidden:
                kind = type(item)
                if item is None or kind is bool or kind is int:
                    cleaned[name] = item
                    continue
                if kind is str and len(item) < _SHORT and ":" not in item and "=" not in item:
                    cleaned[name] = _short_without_credentials(item)
                    continue
            below = (*path, _plain(name))
            if item is not None and (hidden or any(below[-len(end) :] == end for end in self._paths)):
                self._learned.learn(item)
                plainly = False
                cleaned[name] = MASK
            elif not self._outgoing.conversation and name in _TEXTS and item not in (None, "", []):
                cleaned[name] = WITHHELD
            else:
                cleaned[name] = self._clean(item, below, closed=closed or (self._allow is not None and name in _DATA))
        return cleaned

    def _is_hidden(self, name: str) -> bool:
        hidden = self._hidden.get(name)
        if hidden is None:
            hidden = self._hidden[name] = _plain(name) in self._names or _secret(name)
        return hidden

    def _value_key(self, value: Mapping[Any, Any]) -> str | None:
        """The key of a hidden field's value, if the field is a pair of name and value."""
        held = next((key for key in ("value", "values") if key in value), None)
        if held is None:
            return None
        named = (value.get(key) for key in ("name", "key", "field", "header"))
        return held if any(type(name) is str and self._is_hidden(name) for name in named) else None

    def _items(self, items: list[Any], path: tuple[str, ...], *, closed: bool) -> list[Any]:
        if not self._outgoing.conversation and path and path[-1] == "messages":
            return [self._without_text(item, path) for item in items]
        return [self._clean(item, path, closed=closed) for item in items]

    def _without_text(self, item: Any, path: tuple[str, ...]) -> Any:
        """Mask one message without its text, also in the short forms: a text, or a pair of role and text."""
        match item:
            case str():
                return WITHHELD
            case (str() as role, _):
                return [role, WITHHELD]
        return self._clean(item, path, closed=False)

    def _string(self, text: str, path: tuple[str, ...], *, closed: bool) -> str:
        # Tool messages and tool calls carry JSON inside texts.
        if len(text) < _LONGEST_PARSED and text.lstrip()[:1] in {"{", "["}:
            try:
                parsed = json.loads(text)
            except ValueError:
                pass
            else:
                cleaned = self._clean(parsed, path, closed=closed)
                return text if cleaned == parsed else json.dumps(cleaned, ensure_ascii=False, default=str)
        if closed and not self._allowed(path):
            return WITHHELD
        return self._text(text)

    def _text(self, text: str) -> str:
        found: list[Any] = []
        text = hide_fields(text, self._is_hidden, found)
        for one in found:
            self._learned.learn(one)
        text = self._learned.text(text)
        return _short_without_credentials(text) if len(text) < _SHORT else _without_credentials(text)

    def _allowed(self, path: tuple[str, ...]) -> bool:
        return bool(path) and self._allow is not None and path[-1] in self._allow


def _identity(value: Mapping[Any, Any]) -> str | None:
    """The cache key of a mapping that is often repeated: a message by its id, a tool definition by its name.

    The caller compares the cached original with the value, which is much faster than masking it again.
    """
    inner = value.get("kwargs") if value.get("lc") == 1 else None
    if type(inner) is dict and type(inner.get("id")) is str:
        return f"message {inner['id']}"
    function = value.get("function") if value.get("type") == "function" else None
    if type(function) is dict and "parameters" in function:
        return f"tool {function.get('name')}"
    return None


def _without_credentials(text: str) -> str:
    return _SECRET_TEXT.sub(lambda found: (found["keep"] or "") + MASK, text)


_short_without_credentials = functools.lru_cache(maxsize=4096)(_without_credentials)


@functools.lru_cache(maxsize=64)
def _marks(sensitive: frozenset[str]) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]]:
    marks = {tuple(_plain(part) for part in name.split(".")) for name in sensitive}
    return frozenset(mark[0] for mark in marks if len(mark) == 1), tuple(mark for mark in marks if len(mark) > 1)


@functools.lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@functools.lru_cache(maxsize=4096)
def _secret(name: str) -> bool:
    return is_secret(name)
