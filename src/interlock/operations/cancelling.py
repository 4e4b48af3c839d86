"""Cancelling instances, and looking at what became of it."""

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
        """Cancel an instance: nothing else may be called, what waits is closed, and what was carried out is undone, newest first.

        It is safe to repeat, and continues then with what is left. A tick does so as well, so that anyone who is killed in between is made up
        for. An instance with a thread is not run by this; a tick, or `resume`, lets its graph see that it is over.

        Args:
            which: The instance.
            reason: Why, in at most 2000 characters; it is recorded.
            by: Who cancels it: somebody whom the workflow's `cancellable(...)` names.

        Returns:
            What became of each call: undone, or left for a person to see to. While an outcome is not known, older calls are not undone.

        Raises:
            InputError: The workflow says nowhere that its instances can be cancelled, or the reason cannot be kept.
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: They may not cancel it; that is recorded.
            WorkflowFinished: It has come to its end.
            InProgress: A command of it is being carried out; try again when that has ended.
        """
        return run(self._engine.store, cancel(self._engine, self.id_of(which), reason, by))

    async def acancel(self, which: Which, reason: str, *, by: Principal) -> Cancellation:
        """As `cancel`."""
        return await arun(self._engine.store, cancel(self._engine, self.id_of(which), reason, by))

    def cancellation(self, which: Which, *, by: Principal | None = None) -> Cancellation | None:
        """What became of cancelling an instance; None where nobody has cancelled it.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
        """
        workflow_id = self.id_of(which)
        if by is not None:
            looked_at(self._engine, {"workflow_id": workflow_id}, by)
        with self._engine.store.read() as connection:
            return looked_up(workflow_id, connection)

    async def acancellation(self, which: Which, *, by: Principal | None = None) -> Cancellation | None:
        """As `cancellation`."""
        return await self._engine.store.database.arun(partial(self.cancellation, which, by=by))


__all__ = ["Cancellation", "Cancels"]
