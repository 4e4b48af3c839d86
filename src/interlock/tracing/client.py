"""A LangSmith client that masks everything before it is sent."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ..tools.sinks import logger_of
from .outgoing import WITHHELD, Memory, Outgoing

logger = logger_of("interlock.tracing")

_TRACES_REMEMBERED = 64


class GuardedClient:
    """A LangSmith client that masks runs before it sends them, and otherwise behaves like its base class.

    It sees every run, whether a tracer recorded it or a `@traceable` function that a tool calls.
    """

    def __init__(self, client: Any, outgoing: Outgoing) -> None:
        self.wrapped = client
        self.outgoing = outgoing
        self._memories: OrderedDict[str, Memory] = OrderedDict()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def create_run(self, name: str, inputs: dict[str, Any], run_type: str, **fields: Any) -> None:
        """As the client's method, with masked values."""
        fields = self._guarded({**fields, "inputs": inputs}, fields.get("trace_id"))
        self.wrapped.create_run(name, fields.pop("inputs"), run_type, **fields)

    def update_run(self, run_id: Any, **fields: Any) -> None:
        """As the client's method, with masked values."""
        self.wrapped.update_run(run_id, **self._guarded(fields, fields.get("trace_id")))

    def _guarded(self, fields: Mapping[str, Any], trace_id: Any) -> dict[str, Any]:
        guarded = dict(fields)
        try:
            mask = self.outgoing.mask(self._of_trace(str(trace_id)))
            for name in ("inputs", "outputs", "events", "serialized"):
                if guarded.get(name):
                    guarded[name] = mask.value(guarded[name])
            if guarded.get("error"):
                guarded["error"] = mask.text(guarded["error"])
            if guarded.get("extra"):
                extra = dict(guarded["extra"])
                metadata = extra.pop("metadata", None) or {}
                withheld = extra.pop("interlock_withheld", ())
                runtime = extra.pop("runtime", None)  # LangSmith's own metadata about this process
                guarded["extra"] = {**mask.value(extra), "metadata": mask.metadata(metadata, withheld)}
                if runtime is not None:
                    guarded["extra"]["runtime"] = runtime
        except Exception:
            # An incomplete trace is better than a leaked secret or a stopped workflow.
            logger.exception("what goes out could not be masked, so nothing of it goes out")
            guarded.update(
                inputs={"withheld": WITHHELD}, outputs=None, events=None, serialized=None, error=None, extra={}
            )
        return guarded

    def _of_trace(self, trace_id: str) -> Memory:
        with self._lock:
            memory = self._memories.setdefault(trace_id, Memory())
            self._memories.move_to_end(trace_id)
            if len(self._memories) > _TRACES_REMEMBERED:
                self._memories.popitem(last=False)
            return memory


def guarded(client: Any, outgoing: Outgoing | None = None) -> GuardedClient:
    """Make a guarded client; returns a guarded client with the same `outgoing` unchanged."""
    if isinstance(client, GuardedClient):
        if outgoing is None or outgoing == client.outgoing:
            return client
        client = client.wrapped
    return GuardedClient(client, outgoing or Outgoing())
