"""Lists the instances of all served stores."""

from ...checkpointing.reports.instance_listing import InstancePage, Listed, Wanted, page
from ..context import Service

LOOKED_AT = 10_000
"""The maximum number of instances that a page scans, so that no filter makes a page slow."""


def listed(service: Service, wanted: Wanted, limit: int, after: str | None) -> InstancePage:
    """A page of the instances of all served workflows, the newest first. Blocking.

    A page scans a bounded number of instances, so it may be short or empty and still have a `next`.

    Raises:
        InputError: `after` is not the `next` of a page.
    """
    found: list[Listed] = []
    ends: list[tuple[int, str]] = []
    for store in service.workflows.stores:
        with store.read() as connection:
            got = page(connection, wanted, limit=limit, after=after, look_at=LOOKED_AT)
        found += got.instances
        if got.next is not None:
            at, _, workflow_id = got.next.partition(".")
            ends.append((int(at), workflow_id))
    found.sort(key=_place, reverse=True)
    # A store may have more instances beyond the end of its page, so cut the merged page there.
    end = max(ends, default=None)
    known = found if end is None else [one for one in found if _place(one) >= end]
    shown = known[:limit]
    if len(known) > limit:
        end = _place(shown[-1])
    return InstancePage(tuple(shown), None if end is None else f"{end[0]}.{end[1]}")


def _place(one: Listed) -> tuple[int, str]:
    return one.instance.created_at, one.instance.workflow_id


__all__ = ["LOOKED_AT", "listed"]
