"""What guards and policies look at: where an instance stands, its data, and who acts."""

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
