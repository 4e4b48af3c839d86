"""What guards and policies look at: where an instance stands, its data, who acts, what time it is, and what was carried out before."""

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
    """What a view looks up when a rule asks for it: most rules do not."""

    def now(self) -> int:
        """Microseconds since 1970 UTC, by the store's clock."""

    def carried_out(self, tool: str, arguments: Mapping[str, Any]) -> int:
        """How often a tool was carried out on the instance with these values among its arguments."""


@dataclass(frozen=True)
class GuardView(Generic[DataT]):
    """What guards, policies and prompts look at. `data` is a copy: changing it changes nothing.

    The class can be given the type of the workflow's data, ``GuardView[CaseData]``, for type checkers.
    """

    workflow_id: str
    state: str
    data: DataT
    """The workflow's data model; None when it has none."""
    principal: Principal
    """Whose run proposes."""
    revision: int
    facts: InstanceFacts | None = field(default=None, repr=False, compare=False)
    """Where `now` and `carried_out` are looked up; there whenever a workflow runs."""

    @property
    def now(self) -> dt.datetime:
        """The time in UTC, by the store's clock: the database's own, or the one that was given to the store. It stays the same for as
        long as this view is checked.

        Raises:
            ContextError: The view was made by hand, without `facts`.
        """
        return moment_of(self._facts("now").now())

    def carried_out(self, tool: str | ToolContract, **arguments: Any) -> int:
        """How often a tool was carried out on this instance, as its ledger has it. Reads that stay in their state are in no ledger.

        Args:
            tool: The contract, or its canonical name.
            arguments: Only calls whose arguments have these values count. Names are those of the function's parameters, or as on the
                wire; a sensitive argument is in no ledger, and no call has it.

        Returns:
            A count; a call that is in progress, was refused or failed is not in it.

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
        """The same view for one rule alone: what that rule does to the data, the next one does not see."""
        return self if self.data is None else _OwnView(self)


class _OwnView(GuardView[Any]):
    """A view whose data is copied when it is asked for."""

    def __init__(self, view: GuardView) -> None:
        # Without `data`, which is looked up in `__getattr__` the first time.
        own = {"workflow_id": view.workflow_id, "state": view.state, "principal": view.principal}
        self.__dict__.update(own, revision=view.revision, facts=view.facts, _shared=view)

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        shared: GuardView = self.__dict__["_shared"]
        data = self.__dict__["data"] = copy.deepcopy(shared.data)
        return data
