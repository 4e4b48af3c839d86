"""The reference to a run in a trace, stored with every audit record."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from ..tools.canonical import JsonObject


@dataclass(frozen=True)
class TraceReference:
    """One run of a trace, as LangSmith, OpenTelemetry or both know it."""

    trace: str | None = None
    """LangSmith's id of the root run."""
    run: str | None = None
    """LangSmith's id of the run itself."""
    project: str | None = None
    """The LangSmith project that it was sent to."""
    start_time: str | None = None
    """When the run began, in RFC 3339: LangSmith finds a run faster with it."""
    traceparent: str | None = None
    """OpenTelemetry's span, in the form of W3C's header `traceparent`."""

    def to_json(self) -> JsonObject:
        """The reference as JSON, for audit records and event metadata."""
        values = {
            "trace": self.trace,
            "run": self.run,
            "project": self.project,
            "startTime": self.start_time,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, data: Any) -> "TraceReference | None":
        """Read the result of `to_json`; None for anything else, because another system may have written it."""
        if not isinstance(data, Mapping):
            return None
        names = {
            "trace": "trace",
            "run": "run",
            "project": "project",
            "start_time": "startTime",
            "traceparent": "traceparent",
        }
        found = {name: value for name, key in names.items() if isinstance(value := data.get(key), str)}
        return cls(**found) if found.get("run") or found.get("traceparent") else None

    @property
    def began(self) -> dt.datetime | None:
        """The start of the run."""
        try:
            return None if self.start_time is None else dt.datetime.fromisoformat(self.start_time)
        except ValueError:
            return None

    def url(self, client: Any = None) -> str | None:
        """The address of the run for people. It requests the project's id from LangSmith, so it is computed only on demand.

        Args:
            client: A `langsmith.Client`; made from the environment by default.

        Returns:
            The address, or None when there is no run or LangSmith does not answer.
        """
        if self.run is None:
            return None
        try:
            if client is None:
                from langsmith import Client  # noqa: PLC0415 -- takes a tenth of a second, and few ask for an address

                client = Client(auto_batch_tracing=False)
            project = client.read_project(project_name=self.project or "default")
            return f"{project.url}/r/{self.run}?poll=true" if project.url else None
        except Exception:
            return None


def runs_of(config: RunnableConfig) -> list[Any]:
    """The current runs of the LangSmith tracers in this config, at most one per tracer.

    They are found by the parent run id of LangChain, so it works with every tracer; without tracers it returns nothing.
    """
    manager = config.get("callbacks")
    run_id = getattr(manager, "parent_run_id", None)
    if run_id is None:
        return []
    handlers = getattr(manager, "handlers", ())
    if not handlers:
        return []
    found = (getattr(handler, "run_map", {}).get(str(run_id)) for handler in handlers)
    return [run for run in found if run is not None and getattr(run, "dotted_order", None)]


def reference_of(config: RunnableConfig, traceparent: str | None = None) -> TraceReference | None:
    """The trace reference of the current run of this config; None without tracing."""
    for run in runs_of(config):
        if run.extra.get("__disabled"):
            continue
        return TraceReference(
            trace=str(run.trace_id),
            run=str(run.id),
            project=run.session_name,
            start_time=_aware(run.start_time).isoformat(),
            traceparent=traceparent,
        )
    return None if traceparent is None else TraceReference(traceparent=traceparent)


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
