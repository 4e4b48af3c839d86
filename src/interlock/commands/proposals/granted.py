"""Proposals from outside the graph that were granted and not carried out yet: what a tick takes up."""

from dataclasses import dataclass, field

from ...checkpointing.store import approval_listing
from ...tools.errors import ConflictError, OutcomeUnknown
from ..running.engine import Engine, logger
from ..running.operations import InStore, Steps
from .proposing import standing

BATCH = 100
"""How many are read at once."""


@dataclass
class CarriedOut:
    """What came of proposals that were granted."""

    done: list[str] = field(default_factory=list)
    """The ids of those that were carried out, or came to nothing for good."""
    failed: dict[str, Exception] = field(default_factory=dict)
    """Those that are left for the next tick, and why."""


def granted(engine: Engine, after: tuple[int, str] | None) -> Steps[list[tuple[int, str]]]:
    """Some of the proposals that are granted and wait to be carried out, the longest granted first: when, and their ids.

    Args:
        engine: The workflow.
        after: The last of those before.
    """
    name = engine.definition.name
    found: list[tuple[int, str]] = yield InStore(
        lambda connection: approval_listing.granted(connection, workflow=name, after=after, limit=BATCH), write=False
    )
    return found


def take_up(engine: Engine, proposal_id: str, done: CarriedOut) -> Steps[None]:
    """Carry one out. What goes wrong with it is told, and keeps none of the others from being carried out."""
    try:
        yield from standing(engine, proposal_id, None)
    except (ConflictError, OutcomeUnknown) as error:
        done.failed[proposal_id] = error
        logger.info("the granted proposal %s is left for the next tick: %s", proposal_id, error)
    except Exception as error:
        done.failed[proposal_id] = error
        logger.exception("the granted proposal %s could not be carried out; the next tick tries again", proposal_id)
    else:
        done.done.append(proposal_id)


__all__ = ["BATCH", "CarriedOut", "granted", "take_up"]
