"""Cancels instances, and reads the status of a cancel."""

from functools import partial

from ..commands.cancelling.cancel import cancel, looked_up
from ..commands.cancelling.report import Cancellation
from ..commands.running.access import looked_at
from ..commands.running.driver import arun, run
from ..commands.running.engine import Engine
from ..tools.principal import Principal
from .compiled import Which
from .door import Door


class Cancels(Door):
    """Cancels the instances of one compiled workflow."""

    _engine: Engine

    def cancel(self, which: Which, reason: str, *, by: Principal) -> Cancellation:
        """Cancel an instance: no other tool may be called, open approvals and waits are closed, and the executed calls are undone, newest
        first.

        It is safe to repeat: a repeated call continues with what is left. So does a tick, in case this process is killed in between. The
        method does not run the graph of an instance that has a thread; a tick or `resume` does, and the graph then ends.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            reason: The reason, of at most 2000 characters, which is recorded.
            by: The principal who cancels it: somebody whom the workflow's `cancellable(...)` allows to.

        Returns:
            The status of each call: undone, or left for a person. While the outcome of a call is unknown, older calls are not undone.

        Raises:
            InputError: The workflow is not `cancellable(...)`, or the reason cannot be stored.
            RunError: The tenant of `by` has no such instance.
            PrincipalError: `by` may not cancel it. The attempt is recorded.
            WorkflowFinished: The instance is in a final state.
            InProgress: A command of the instance is being executed; try again when it has ended.
        """
        return run(self._engine.store, cancel(self._engine, self.id_of(which), reason, by))

    async def acancel(self, which: Which, reason: str, *, by: Principal) -> Cancellation:
        """Asynchronous form of `cancel`, with the same arguments, result and errors."""
        return await arun(self._engine.store, cancel(self._engine, self.id_of(which), reason, by))

    def cancellation(self, which: Which, *, by: Principal | None = None) -> Cancellation | None:
        """Return the cancellation of an instance; None if nobody has cancelled it.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.

        Raises:
            RunError: There is no such instance, or not for the tenant of `by`.
            PrincipalError: The instance serves somebody other than `by`.
        """
        workflow_id = self.id_of(which)
        if by is None:
            self._engine.store.get(workflow_id)  # an unknown instance is not one that nobody cancelled
        else:
            looked_at(self._engine, {"workflow_id": workflow_id}, by)
        with self._engine.store.read() as connection:
            return looked_up(workflow_id, connection)

    async def acancellation(self, which: Which, *, by: Principal | None = None) -> Cancellation | None:
        """Asynchronous form of `cancellation`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(partial(self.cancellation, which, by=by))


__all__ = ["Cancellation", "Cancels"]
