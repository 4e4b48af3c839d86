"""The budgets of models, from outside the graph: read them and raise them."""

from decimal import Decimal
from functools import partial

from ..checkpointing.store import Instance
from ..commands.budgets.raising import BudgetStanding, raise_budget, standings, why_not_raise
from ..commands.running.access import looked_at, record_denial
from ..tools.errors import PrincipalError
from ..tools.principal import Principal
from .cancelling import Cancels
from .compiled import Which


class Budgets(Cancels):
    """The budgets of the instances of one compiled workflow."""

    def budgets(self, which: Which, *, by: Principal | None = None) -> list[BudgetStanding]:
        """Return the figures of each budget in which the next model call on an instance would count. Budgets per turn are left out.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks. Those who may raise a budget see the budgets, and
                nothing else of the instance.

        Raises:
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody other than `by`, who may raise none of the budgets.
        """
        workflow_id = self.id_of(which)
        instance = self._engine.store.get(workflow_id) if by is None else self._seen_by(workflow_id, by)
        with self._engine.store.read() as connection:
            return standings(self._engine, connection, instance)

    def _seen_by(self, workflow_id: str, by: Principal) -> Instance:
        instance = self._engine.owned(self._engine.store.find(workflow_id), by, workflow_id)
        if any(why_not_raise(one, instance, by) is None for one in self._engine.definition.budgets):
            return instance
        return looked_at(self._engine, {"workflow_id": workflow_id}, by)

    async def abudgets(self, which: Which, *, by: Principal | None = None) -> list[BudgetStanding]:
        """Asynchronous form of `budgets`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(partial(self.budgets, which, by=by))

    def raise_budget(
        self, which: Which, name: str, more: Decimal | str | int, *, by: Principal, reason: str, key: str
    ) -> BudgetStanding:
        """Raise a budget, so that a run that stopped at it can continue; `resume` continues it.

        Args:
            which: The instance: its workflow ID, or the config of its thread. A budget per principal is that of the person whose turn it is
                there, a budget per tenant that of its tenant.
            name: The budget.
            more: The amount to add: tokens, or money.
            by: The principal who raises it: somebody with the role that the budget names. Nobody may raise it for themselves.
            reason: The reason, of at most 2,000 characters, which is recorded.
            key: An ID of at most 128 characters that the caller chooses for this increase. Calls with the same key take effect once.

        Returns:
            The budget's new figures.

        Raises:
            RunError: The tenant of `by` has no such instance.
            InputError: There is no such budget, or the amount, reason or key cannot be used.
            PrincipalError: `by` may not raise it. The attempt is recorded.
        """
        workflow_id = self.id_of(which)
        try:
            with self._engine.store.write_and_know() as connection:
                return raise_budget(self._engine, connection, workflow_id, name, more, reason, key, by)
        except PrincipalError as error:
            record_denial(self._engine, workflow_id, error, by=by, budget=name)
            raise

    async def araise_budget(
        self, which: Which, name: str, more: Decimal | str | int, *, by: Principal, reason: str, key: str
    ) -> BudgetStanding:
        """Asynchronous form of `raise_budget`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(
            partial(self.raise_budget, which, name, more, by=by, reason=reason, key=key)
        )


__all__ = ["BudgetStanding", "Budgets"]
