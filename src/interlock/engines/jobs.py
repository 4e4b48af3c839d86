"""A job: one run of one thread, as plain data for any engine. It contains neither messages nor data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ..tools.errors import InvalidInput


class JobKind(StrEnum):
    """What a job does."""

    START = "start"
    """Run the thread with a new input."""
    RESUME = "resume"
    """Resume the thread with an answer."""
    WAKE = "wake"
    """Resume the thread without an answer, after what it waited for was settled."""


@dataclass(frozen=True)
class Job:
    """One run of one thread."""

    kind: JobKind
    workflow: str
    tenant: str
    thread_id: str
    key: str
    """The idempotency key: it is the same however often the job is enqueued or run."""
    workflow_id: str | None = None
    """The instance, if its id cannot be derived from the thread."""
    input_id: str | None = None
    """The id of the stored input or answer."""
    inside: bool = False
    """Whether the workflow runs inside another graph, which owns the thread."""

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
