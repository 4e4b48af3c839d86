"""A job: one run of one thread, as plain data for any engine. It contains neither messages nor data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ..tools.errors import InvalidInput


class JobKind(StrEnum):
    """What a job does."""

    START = "start"
    """Give the thread a new input."""
    RESUME = "resume"
    """Answer what the thread asks."""
    WAKE = "wake"
    """Let the thread continue from what was settled meanwhile."""


@dataclass(frozen=True)
class Job:
    """One run of one thread."""

    kind: JobKind
    workflow: str
    tenant: str
    thread_id: str
    key: str
    """The same job, however often it is enqueued or run, has the same key."""
    workflow_id: str | None = None
    """The instance, where its id does not follow from the thread."""
    input_id: str | None = None
    """What the thread is given, or answered."""
    inside: bool = False
    """Whether the workflow runs inside another graph, whose thread it is."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        given = {**asdict(self), "kind": self.kind.value}  # plain text, for any serializer of an engine
        return {name: value for name, value in given.items() if value not in (None, False)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Job":
        """Parse what `to_json` returned.

        Raises:
            InvalidInput: It is something else.
        """
        try:
            known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
            return cls(**{**known, "kind": JobKind(data["kind"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"This is not a job of Interlock ({type(error).__name__}). Nothing was run; enqueue with `Runs`, or pass on `Job.to_json()` as it is."
            ) from error


__all__ = ["Job", "JobKind"]
