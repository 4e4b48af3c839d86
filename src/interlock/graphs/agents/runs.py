"""Tracks the principal whose turn continues in an agent's run that another principal resumed with a decision.

An agent's graph has no entry point of ours, so anybody who may run it can start a run at its model. Only a decision in the same run
shows that the run continues another principal's turn. A run is identified by LangGraph's own object, one per run, which no client
can write.
"""

import threading
from collections import OrderedDict
from typing import Any

from ...commands.running.scope import RUNTIME, Scope
from ...tools.principal import Principal

_KEPT = 1_000
"""The maximum number of tracked runs; in an evicted run, the principal who runs it is the proposer."""


class AgentRuns:
    """The continued turns by run."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        # Holds the object itself, so that its id is not reused.
        self._turns: OrderedDict[tuple[int, str], tuple[Any, Principal]] = OrderedDict()

    def resumes(self, scope: Scope, proposer: Principal) -> None:
        """Record that a decision in this run concerned a proposal of this principal."""
        control = _control(scope)
        if control is None:
            return
        with self._guard:
            self._turns[id(control), scope.workflow_id] = (control, proposer)
            while len(self._turns) > _KEPT:
                self._turns.popitem(last=False)

    def proposer(self, scope: Scope) -> Principal:
        """The proposer of this run."""
        control = _control(scope)
        with self._guard:
            noted = None if control is None else self._turns.get((id(control), scope.workflow_id))
        return scope.principal if noted is None else noted[1]


def _control(scope: Scope) -> Any:
    return getattr(scope.config.get("configurable", {}).get(RUNTIME), "control", None)


__all__ = ["AgentRuns"]
