"""Records in the trace why tools are not offered, which a person on call asks first."""

from ..commands.running.engine import Engine
from ..rules.conditions import Condition
from ..rules.definition import Edge
from ..rules.policies import Mode
from ..rules.view import GuardView
from ..tools.errors import RuleError
from ..tools.kinds import ToolKind
from ..tracing.watch import note, watched


def why_not_offered(engine: Engine, view: GuardView) -> dict[str, str]:
    """The tools of the state that are not offered now, each with its reason; tools of other states are not mentioned."""
    offered = set(engine.offered(view))
    return {
        edge.tool.name: reason
        for edge in engine.definition.by_source[view.state]
        if edge.tool.name not in offered and (reason := _reason(engine, edge, view)) is not None
    }


def tell_offer(engine: Engine, view: GuardView) -> None:
    """Record in the trace which tools are not offered and why; does nothing without tracing."""
    if watched():
        withheld = why_not_offered(engine, view)
        note(not_offered="; ".join(f"{tool}: {reason}" for tool, reason in withheld.items()) or None)


def _reason(engine: Engine, edge: Edge, view: GuardView) -> str | None:
    definition = engine.definition
    if definition.mode is Mode.READ_ONLY and edge.tool.kind is not ToolKind.READ:
        return "the workflow is in the mode read_only"
    try:
        if edge.after is not None and not edge.after.is_open(view):
            return f"it comes {edge.after}"
        if not edge.admits(view):
            guard = (
                str(edge.guard)
                if isinstance(edge.guard, Condition)
                else getattr(edge.guard, "__name__", type(edge.guard).__name__)
            )
            return "its guard does not hold" if guard == "<lambda>" else f"its guard {guard} does not hold"
        hidden = ((policy.name, policy.hidden(edge.tool, view)) for policy in definition.policies)
        return next((f"the policy {name} hides it: {reason}" for name, reason in hidden if reason is not None), None)
    except RuleError as error:
        return error.message


__all__ = ["tell_offer", "why_not_offered"]
