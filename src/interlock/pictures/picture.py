"""Shows a workflow or one of its instances: as a picture in a notebook, elsewhere as a few lines of text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpointing.store import AuditKind, AuditRecord, Instance
from ..commands.running.engine import Engine
from ..rules.conditions import Condition
from ..rules.definition import Definition, Edge
from ..rules.policies import Mode
from ..rules.view import GuardView
from ..tools.errors import RuleError
from ..tools.kinds import ToolKind
from ..tools.principal import Principal
from ..tools.sinks import line, terminal, whole_file
from .lights import Lights, Route, Standing
from .picture_data import Drawing, asked, ends_of
from .svg import to_svg
from .themes import Theme


@dataclass(frozen=True)
class Picture:
    """The output for a notebook: an SVG picture, and text for environments without pictures.

    No other format is offered, because some notebooks would show Mermaid's source or JSON instead of the picture.
    """

    drawing: Drawing
    standing: Standing | None = None
    """The highlighted position of an instance."""
    route: Route | None = None
    """A path through the workflow, in place of an instance."""

    @property
    def svg(self) -> str:
        """The picture as a whole SVG document."""
        return to_svg(self.drawing, self.lights)

    @property
    def lights(self) -> Lights | None:
        """The highlighted parts."""
        return self.standing or self.route

    def save(self, path: str | Path, *, theme: Theme | None = None) -> Path:
        """Write the picture as a file.

        Args:
            path: Where to.
            theme: `"light"` or `"dark"`; by default the theme that was chosen with `interlock.pictures.use_theme`, light at first.

        Returns:
            Where it is.
        """
        target = Path(path)
        with whole_file(target) as file:
            file.write(to_svg(self.drawing, self.lights, theme))
        return target

    def to_mermaid(self) -> str:
        """Return the workflow as Mermaid text, for documents."""
        return self.drawing.to_mermaid()

    def __str__(self) -> str:
        """The workflow in words, a line for each state; of a path its steps."""
        head = f"workflow {self.drawing.workflow} v{self.drawing.version}"
        if self.standing is not None:
            head += f", {self.standing.title}"
            if self.standing.waits_for is not None:
                head += f", waits for {self.standing.waits_for}"
        told = () if self.route is None else self.route.caption
        states = (self._line(number) for number in range(len(self.drawing.states)))
        return terminal("\n".join(map(line, [head, *(told or states)])))

    def __repr__(self) -> str:
        return str(self)

    def _line(self, number: int) -> str:
        state = self.drawing.states[number]
        here = self.standing is not None and self.standing.state == state.name
        calls = [
            f"{edge.tool}{'' if edge.target == state.name else f' -> {edge.target}'}"
            + (f" ({edge.approval})" if edge.approval else "")
            + (f" [{edge.condition}]" if edge.is_otherwise else "")
            for edge in state.edges
        ]
        calls += [f"{end.words} -> {end.target}" for end in state.ends]
        return f"{'*' if here else ' '} {state.name}: {', '.join(calls) if calls else 'final' if state.is_final else 'rests'}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.svg, "text/plain": str(self)}


def picture_of(definition: Definition) -> Picture:
    """The picture of a workflow, with nothing lit."""
    return Picture(Drawing.of(definition))


def picture_of_instance(
    engine: Engine, instance: Instance, records: list[AuditRecord], principal: Principal
) -> Picture:
    """The picture of an instance: its state and the tools that may be called now are highlighted, with reasons for the others.

    Args:
        engine: The workflow.
        instance: Its row.
        records: Its audit trail, from which its earlier states are known.
        principal: The principal for whom the tools are judged.
    """
    view = engine.view(instance, principal)
    allowed = frozenset(engine.offered(view))
    edges = engine.definition.by_source.get(instance.state, ())
    why_not = {edge.tool.name: _why_not(engine, edge, view) for edge in edges if edge.tool.name not in allowed}
    left = {
        str(record.payload["previousState"])
        for record in records
        if record.kind is AuditKind.TRANSITION and record.payload is not None and "previousState" in record.payload
    }
    taken: dict[str, str] = {}
    for edge in edges:
        if edge.tool.name in allowed and edge.tool.name not in taken and _admits(edge, view):
            taken[edge.tool.name] = edge.target
    standing = Standing(instance.state, allowed, frozenset(left), why_not, taken, _awaited(engine, instance))
    return Picture(Drawing.of(engine.definition), standing)


def _admits(edge: Edge, view: GuardView) -> bool:
    try:
        return edge.admits(view)
    except RuleError:
        return False


def _awaited(engine: Engine, instance: Instance) -> str | None:
    """What an instance waits for, as text."""
    open_ones = engine.store.pending_approvals(instance.workflow_id)
    if open_ones:
        return ", and for ".join(f"{one.tool}: {asked(one.rule)}" for one in open_ones)
    wait = engine.definition.waits.get(instance.state)
    if wait is None:
        return None
    ends = [end.words for end in ends_of(wait)]
    return " or ".join(dict.fromkeys(ends)) or "an event"


def _why_not(engine: Engine, edge: Edge, view: GuardView) -> str:
    if engine.definition.mode is Mode.READ_ONLY and edge.tool.kind is not ToolKind.READ:
        return "not in read-only mode"
    try:
        if edge.after is not None and not edge.after.is_open(view):
            return f"only {edge.after}"
        if not edge.admits(view):
            name = str(edge.guard) if isinstance(edge.guard, Condition) else getattr(edge.guard, "__name__", "<lambda>")
            return "its guard does not hold" if name == "<lambda>" else f"not {name}"
        reasons = (policy.hidden(edge.tool, view) for policy in engine.definition.policies)
        return next((reason for reason in reasons if reason is not None), "not now")
    except RuleError as error:
        return error.message
