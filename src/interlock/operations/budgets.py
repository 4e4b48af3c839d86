"""The budgets of models, from outside the graph: what is left of them, and raising them."""

from decimal import Decimal
from functools import partial

from ..commands.budgets.raising import BudgetStanding, raise_budget, standings
from ..commands.running.access import looked_at, record_denial
from ..tools.errors import PrincipalError
from ..tools.principal import Principal
from .cancelling import Cancels
from .compiled import Which


class Budgets(Cancels):
    """The budgets of the instances of one compiled workflow."""

    def budgets(self, which: Which, *, by: Principal | None = None) -> list[BudgetStanding]:
        """What is used of each budget that the next call of a model on an instance is counted in; those of a turn are left out.

        Args:
            which: The instance.
            by: Who looks; without one it is the application.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
        """
        workflow_id = self.id_of(which)
        instance = (
            self._engine.store.get(workflow_id)
            if by is None
            else looked_at(self._engine, {"workflow_id": workflow_id}, by)
        )
        with self._engine.store.read() as connection:
            return standings(self._engine, connection, instance)

    async def abudgets(self, which: Which, *, by: Principal | None = None) -> list[BudgetStanding]:
        """As `budgets`."""
        return await self._engine.store.database.arun(partial(self.budgets, which, by=by))

    def raise_budget(
        self, which: Which, name: str, more: Decimal | str | int, *, by: Principal, reason: str, key: str
    ) -> BudgetStanding:
        """Add to a budget, so that a run that stopped at it can continue; `resume` continues it.

        Args:
            which: The instance; a budget of a person is that of the one whose turn it is there, one of a tenant that of its tenant.
            name: The budget.
            more: How much: tokens, or money.
            by: Who raises it: somebody with the role that the budget names, and not for themselves.
            reason: Why; it is recorded.
            key: The caller's own for this act: it is done once, however often it is repeated.

        Returns:
            How the budget stands then.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            InputError: There is no such budget, or amount, reason or key is none.
            PrincipalError: They may not; that is recorded.
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
        """As `raise_budget`."""
        return await self._engine.store.database.arun(
            partial(self.raise_budget, which, name, more, by=by, reason=reason, key=key)
        )


__all__ = ["BudgetStanding", "Budgets"]
