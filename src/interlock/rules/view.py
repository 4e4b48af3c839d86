"""The argument of guards, policies and prompts: the state and data of an instance, the principal, the time, and executed calls."""

import copy
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from ..tools.context import DataT
from ..tools.contracts import ToolContract
from ..tools.errors import ContextError
from ..tools.events import moment_of
from ..tools.principal import Principal


class InstanceFacts(Protocol):
    """The facts that a view looks up lazily, because most rules do not use them."""

    def now(self) -> int:
        """Microseconds since 1970 UTC, by the store's clock."""

    def carried_out(self, tool: str, arguments: Mapping[str, Any]) -> int:
        """How often a tool was executed on the instance with these argument values."""


@dataclass(frozen=True)
class GuardView(Generic[DataT]):
    """The argument of guards, policies and prompts. `data` is a copy; changes to it have no effect.

    For type checkers, give the class the type of the workflow's data: ``GuardView[CaseData]``.
    """

    workflow_id: str
    state: str
    data: DataT
    """The workflow's data; None if the workflow has no data."""
    principal: Principal
    """The principal whose run proposes."""
    revision: int
    facts: InstanceFacts | None = field(default=None, repr=False, compare=False)
    """The source of `now` and `carried_out`; set whenever a workflow runs."""

    @property
    def now(self) -> dt.datetime:
        """The current time in UTC, by the clock of the store: that of the database, or the one that the store was given. It does not change
        while a view is used.

        Raises:
            ContextError: The view was made by hand, without `facts`.
        """
        return moment_of(self._facts("now").now())

    def carried_out(self, tool: str | ToolContract, **arguments: Any) -> int:
        """Return how often a tool was executed on this instance, by its ledger. The ledger does not contain reads that stay in their
        state.

        Args:
            tool: The contract, or its canonical name.
            arguments: Count only calls with these argument values; the database reads no others, unless the store is encrypted. Names
                are those of the function's parameters, or as on the wire. The ledger does not contain sensitive arguments, so no call
                matches one.

        Returns:
            The number of calls, without those that are in progress, were refused or failed.

        Raises:
            ContextError: As for `now`.
        """
        name = tool.name if isinstance(tool, ToolContract) else tool
        return self._facts("carried_out").carried_out(name, arguments)

    def _facts(self, what: str) -> InstanceFacts:
        if self.facts is None:
            raise ContextError(
                f"view.{what} was asked of a view that was made by hand; make it with facts=, such as interlock.testing.Facts()"
            )
        return self.facts

    def apart(self) -> "GuardView":
        """Return a copy of the view for one rule: changes that this rule makes to the data are invisible to the next one."""
        return self if self.data is None else _OwnView(self)


class _OwnView(GuardView[Any]):
    """A view whose data is copied on first access."""

    def __init__(self, view: GuardView) -> None:
        # Without `data`: `__getattr__` copies it on first access.
        own = {"workflow_id": view.workflow_id, "state": view.state, "principal": view.principal}
        self.__dict__.update(own, revision=view.revision, facts=view.facts, _shared=view)

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        shared: GuardView = self.__dict__["_shared"]
        data = self.__dict__["data"] = copy.deepcopy(shared.data)
        return data
