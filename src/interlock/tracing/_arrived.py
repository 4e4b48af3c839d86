"""The runs, their tree and their feedback that arrived at the local trace sink, and their display in a terminal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ArrivedRun:
    """One run of a trace, as far as it has arrived: its post, with all its patches."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    posts: int = 0
    patches: int = 0

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.fields.get("name", ""))

    @property
    def run_type(self) -> str:
        """The type of the run: `chain`, `llm`, `tool` and so on."""
        return str(self.fields.get("run_type", ""))

    @property
    def parent_id(self) -> str | None:
        """The ID of the run that contains it; None for the root of a trace."""
        return self.fields.get("parent_run_id")

    @property
    def trace_id(self) -> str:
        """The ID of the trace's root run."""
        return str(self.fields.get("trace_id") or self.id)

    @property
    def project(self) -> str | None:
        """The project to which it was sent."""
        return self.fields.get("session_name")

    @property
    def error(self) -> str | None:
        """The error of the run; None if it did not fail."""
        return self.fields.get("error")

    @property
    def inputs(self) -> Any:
        """The inputs of the run."""
        return self.fields.get("inputs")

    @property
    def outputs(self) -> Any:
        """The outputs of the run."""
        return self.fields.get("outputs")

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the run."""
        return dict((self.fields.get("extra") or {}).get("metadata") or {})

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self.fields.get("tags") or [])

    @property
    def has_ended(self) -> bool:
        """Whether its end has arrived."""
        return self.fields.get("end_time") is not None

    @property
    def order(self) -> str:
        """The sort key of the run among its siblings."""
        return str(self.fields.get("dotted_order") or self.fields.get("start_time") or "")

    def take(self, operation: str, fields: Mapping[str, Any]) -> None:
        """Apply a post or a patch; they may arrive in either order."""
        if operation == "post":
            self.posts += 1
            # A patch may arrive before its post; its values are newer.
            self.fields = {**fields, **{name: value for name, value in self.fields.items() if value is not None}}
        else:
            self.patches += 1
            self.fields.update({name: value for name, value in fields.items() if value is not None})


def trees(runs: Iterable[ArrivedRun], feedback: Iterable[Mapping[str, Any]] = ()) -> str:
    """The runs as indented trees, oldest trace first, with their feedback."""
    listed = sorted(runs, key=lambda run: run.order)
    known = {run.id for run in listed}
    said: dict[str, list[Mapping[str, Any]]] = {}
    for item in feedback:
        said.setdefault(str(item.get("run_id")), []).append(item)
    lines: list[str] = []

    def show(run: ArrivedRun, depth: int) -> None:
        lines.append("  " * depth + _line(run))
        lines.extend(
            "  " * (depth + 1) + f"↳ feedback {item.get('key')}: {_feedback_text(item)}"
            for item in said.get(run.id, [])
        )
        for child in listed:
            if child.parent_id == run.id:
                show(child, depth + 1)

    for run in listed:
        if run.parent_id is None or run.parent_id not in known:
            show(run, 0)
    return "\n".join(lines)


_SHOWN = ("state_before", "state_after", "denial_code", "decision", "replayed", "attempt", "audit_ref")


def _line(run: ArrivedRun) -> str:
    mark = "✗" if run.error else "·" if run.has_ended else "…"
    facts = [f"{name}={run.metadata[name]}" for name in _SHOWN if run.metadata.get(name) not in {None, False}]
    error = f"  error: {run.error.splitlines()[0]}" if run.error else ""
    return f"{mark} {run.name} [{run.run_type}]{'  ' if facts else ''}{' '.join(facts)}{error}"


def _feedback_text(item: Mapping[str, Any]) -> str:
    told = [item.get("value"), None if item.get("score") is None else f"score {item['score']}", item.get("comment")]
    return ", ".join(str(piece) for piece in told if piece is not None)
