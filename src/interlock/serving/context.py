"""What a handler of the service works with: its workflows, and who sends the request."""

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
    """One service: what it serves, to whom, and what it was told of itself."""

    workflows: Workflows
    callers: Callers
    watch: Watch
    title: str
    links: dict[str, str]
    """More for the console's navigation: a text and where it leads, such as a tracing tool."""
    trace_url: str | None = None
    """Where a trace is checked, with `{trace_id}` in it."""
    planned: tuple[Definition, ...] = ()
    """Definitions that are to come: the fleet says which instances they would strand."""
    figures: Figures = field(default_factory=Figures)
    """Counted now and then."""

    def trace_href(self, trace_id: str) -> str | None:
        """Where an instance's trace is checked; None where nobody said."""
        return None if self.trace_url is None else self.trace_url.replace("{trace_id}", quote(trace_id, safe=""))


def service_of(request: Request) -> Service:
    """The service that a request came to; it may be mounted in another application."""
    return cast("Service", request.app.state.interlock)


async def caller_of(request: Request) -> Caller:
    """Who sends the request.

    Raises:
        Unauthenticated: Nobody who can be known.
    """
    found: Caller | None = getattr(request.state, "interlock_caller", None)
    if found is None:
        found = request.state.interlock_caller = await service_of(request).callers.find(request)
    return found


Serves = Annotated[Service, Depends(service_of)]
Calls = Annotated[Caller, Depends(caller_of)]

__all__ = ["Calls", "Serves", "Service", "caller_of", "service_of"]
