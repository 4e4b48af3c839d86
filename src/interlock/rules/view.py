"""What guards and policies look at: where an instance stands, its data, and who acts."""

import copy
from dataclasses import dataclass
from typing import Any

from ..tools.principal import Principal


@dataclass(frozen=True)
class GuardView:
    """What guards, policies and prompts look at. `data` is a copy: changing it changes nothing."""

    workflow_id: str
    state: str
    data: Any
    """The workflow's data model; None when it has none."""
    principal: Principal
    """Whose run proposes."""
    revision: int

    def apart(self) -> "GuardView":
        """The same view for one rule alone: what that rule does to the data, the next one does not see."""
        return self if self.data is None else _OwnView(self)


class _OwnView(GuardView):
    """A view whose data is copied when it is asked for."""

    def __init__(self, view: GuardView) -> None:
        # Without `data`, which is looked up in `__getattr__` the first time.
        own = {"workflow_id": view.workflow_id, "state": view.state, "principal": view.principal}
        self.__dict__.update(own, revision=view.revision, _shared=view)

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        shared: GuardView = self.__dict__["_shared"]
        data = self.__dict__["data"] = copy.deepcopy(shared.data)
        return data
