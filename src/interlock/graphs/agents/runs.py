"""Whose turn continues in a run of an agent that somebody else resumed with a decision.

An agent's graph has no door of ours, so anybody who may run it can begin a run at its model. Only a decision that was taken in
the same run shows that the run continues with another's turn. What a run is known by is LangGraph's own object, one for each run,
which no client can write.
"""

import threading
from collections import OrderedDict
from typing import Any

from ...commands.running.scope import RUNTIME, Scope
from ...tools.principal import Principal

_KEPT = 1_000
"""Of so many runs at most; in one that is forgotten, anyone who runs it proposes."""


class AgentRuns:
    """The turns that runs continue with."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        # With the object itself, so that its number is not given to another one meanwhile.
        self._turns: OrderedDict[tuple[int, str], tuple[Any, Principal]] = OrderedDict()

    def resumes(self, scope: Scope, proposer: Principal) -> None:
        """Note that a decision was taken in this run on what this principal had proposed."""
        control = _control(scope)
        if control is None:
            return
        with self._guard:
            self._turns[id(control), scope.workflow_id] = (control, proposer)
            while len(self._turns) > _KEPT:
                self._turns.popitem(last=False)

    def proposer(self, scope: Scope) -> Principal:
        """Who proposes in this run."""
        control = _control(scope)
        with self._guard:
            noted = None if control is None else self._turns.get((id(control), scope.workflow_id))
        return scope.principal if noted is None else noted[1]


def _control(scope: Scope) -> Any:
    return getattr(scope.config.get("configurable", {}).get(RUNTIME), "control", None)


__all__ = ["AgentRuns"]
