"""Instances of every store that is served, as one list."""

from ..checkpointing.reports.instance_listing import InstancePage, Listed, Wanted, page
from .context import Service


def listed(service: Service, wanted: Wanted, limit: int, after: str | None) -> InstancePage:
    """A page of the instances of all workflows that are served, the newest first; blocks.

    Raises:
        InputError: `after` is not what a page gave.
    """
    found: list[Listed] = []
    more = False
    for store in service.workflows.stores:
        with store.read() as connection:
            got = page(connection, wanted, limit=limit, after=after)
        found += got.instances
        more = more or got.next is not None
    found.sort(key=lambda one: (one.instance.created_at, one.instance.workflow_id), reverse=True)
    shown = found[:limit]
    last = shown[-1].instance if shown and (more or len(found) > limit) else None
    return InstancePage(tuple(shown), None if last is None else f"{last.created_at}.{last.workflow_id}")


__all__ = ["listed"]
