"""Writing down what was tried at the graph's own doors and refused there: a run from the past, a jump, a change of its channels."""

from collections.abc import Mapping
from typing import Any

from ..commands.running.access import has_thread, meant, record_denial
from ..commands.running.engine import Engine
from ..commands.running.scope import is_nested
from ..tools.errors import InterlockError
from ..tools.principal import Principal


def record_refusal(
    engine: Engine, configurable: Mapping[str, Any], error: InterlockError, *, by: Principal | None, **tried: Any
) -> None:
    """Record a denial in the trail of the instance that a config means, where there is one.

    Args:
        engine: The workflow.
        configurable: Where it was tried. Nothing is recorded of a config that stands for a part of another graph's run, which
            cannot be told from here.
        error: What it was refused with.
        by: Who tried; nobody in particular where nothing says so. Somebody of another tenant leaves no mark on the instance.
        tried: What was tried: plain JSON, and never a value that was to be written.
    """
    if is_nested(configurable) or not has_thread(configurable):
        return
    record_denial(engine, meant(engine, configurable), error, by=by, **tried)


__all__ = ["record_refusal"]
