"""Finds the owner of a thread without an instance: LangGraph writes an input before the first node creates the instance.

The row of the instance names the owner of a thread. Before it exists, only the checkpoint tells: an admitted run wrote it, with the
principal of its turn.
"""

from collections.abc import Mapping
from typing import Any

from ...checkpointing.saver.reading import LOOKING
from ...rules.proposals import advance
from ...tools.errors import PrincipalError
from ...tools.principal import Principal
from .checkpoint_lookup import Saved
from .scope import CHECKPOINT_NS, THREAD_ID

_INPUT = "__start__"
"""LangGraph's channel for an input that no step has consumed."""


def begun_by(saver: Saved, thread_id: str) -> tuple[bool, Principal | None]:
    """Whether a thread has a checkpoint, and the principal of its turn, or None if unknown."""
    saved = saver.get_tuple({"configurable": {THREAD_ID: thread_id, CHECKPOINT_NS: "", LOOKING: True}})
    if saved is None:
        return False, None
    values: Mapping[str, Any] = saved.checkpoint.get("channel_values") or {}
    return True, _requester(values.get("progress")) or _of_input(values.get(_INPUT))


def _of_input(given: Any) -> Principal | None:
    ops = given.get("progress") if isinstance(given, Mapping) else None
    try:
        return _requester(advance(None, ops or []))
    except (ValueError, TypeError, LookupError):  # a channel of another graph with this name
        return None


def _requester(progress: Any) -> Principal | None:
    requester = progress.get("requester") if isinstance(progress, Mapping) else None
    if not isinstance(requester, Mapping):
        return None
    try:
        return Principal.from_json(requester)
    except PrincipalError:
        return None


__all__ = ["begun_by"]
