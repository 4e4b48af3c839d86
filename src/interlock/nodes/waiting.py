"""The node of a wait state: it interrupts the graph until the workflow row shows that the wait is over.

`delivery` and `settling` end a wait in SQL; then `invoke(None)` resumes the graph, which runs this node again and follows the row.
The resume payload has no effect.
"""

from collections.abc import Mapping
from typing import Any

from langgraph.types import Command, interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import Instance
from ..checkpointing.store import waits as wait_rows
from ..commands.running.operations import InStore, Steps
from ..commands.running.scope import Scope
from ..commands.waits.settling import arrive, expire, payload
from ..tools.canonical import JsonObject
from ..tools.errors import RunError
from ..tools.principal import Principal
from .reasoning import StateNode


class WaitNode(StateNode):
    """Waits in one state."""

    def rest(
        self, value: Mapping[str, Any], instance: Instance, requester: Principal, scope: Scope
    ) -> Steps[Command[str]]:
        """Interrupt until the row has another state."""
        while True:
            instance, shown = yield InStore(lambda connection: self._look(connection, scope.workflow_id))
            if shown is None:
                update = yield from self.engine.shown(instance, requester, already=value)
                return Command(update=update, goto=instance.state)
            # The resume payload is ignored: only the row can end the wait.
            interrupt(shown)

    def _look(self, connection: Connection, workflow_id: str) -> tuple[Instance, JsonObject | None]:
        unit = self.engine.store.unit(connection, workflow_id)
        if unit is None:
            raise RunError(
                f"The workflow instance {workflow_id} was removed from the workflow store while it waits in {self.state.name!r}. "
                "Nothing was done; restore it, or start a new thread.",
                code="unknown_instance",
            )
        arrive(self.engine, unit)
        if unit.instance.state != self.state.name:
            return unit.instance, None
        wait = wait_rows.open_of(connection, workflow_id)
        if wait is None or expire(self.engine, unit, wait):
            return unit.instance, None
        return unit.instance, payload(self.engine, connection, wait)


__all__ = ["WaitNode"]
