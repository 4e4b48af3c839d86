"""The context of a handler: the service and its workflows, and the caller."""

from dataclasses import dataclass, field
from typing import Annotated, cast
from urllib.parse import quote

from fastapi import Depends, Request

from ..rules.definition import Definition
from .identity import Caller, Callers
from .queries.figures import Figures
from .watching import Watch
from .workflows import Workflows


@dataclass(frozen=True)
class Service:
    """One service: its workflows, its callers and its settings."""

    workflows: Workflows
    callers: Callers
    watch: Watch
    title: str
    links: dict[str, str]
    """Additional links of the console's navigation: text and address, such as a tracing tool."""
    trace_url: str | None = None
    """The address of a trace, with `{trace_id}` in it."""
    planned: tuple[Definition, ...] = ()
    """Planned definitions: the fleet page shows the instances that they would strand."""
    figures: Figures = field(default_factory=Figures)
    """Cached figures."""

    def trace_href(self, trace_id: str) -> str | None:
        """The address of an instance's trace; None if not configured."""
        return None if self.trace_url is None else self.trace_url.replace("{trace_id}", quote(trace_id, safe=""))


def service_of(request: Request) -> Service:
    """The service of a request, which may be mounted in another application."""
    return cast("Service", request.app.state.interlock)


async def caller_of(request: Request) -> Caller:
    """The caller of a request.

    Raises:
        Unauthenticated: The caller cannot be identified.
    """
    found: Caller | None = getattr(request.state, "interlock_caller", None)
    if found is None:
        found = request.state.interlock_caller = await service_of(request).callers.find(request)
    return found


Serves = Annotated[Service, Depends(service_of)]
Calls = Annotated[Caller, Depends(caller_of)]

__all__ = ["Calls", "Serves", "Service", "caller_of", "service_of"]
