"""What the processes do that attack the desk: each opens the database anew, as a worker that was just started does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langgraph.types import Command

from interlock.checkpointing import SQLCheckpointer
from interlock.testing import reach
from interlock.tools.errors import InterlockError
from tests.workflows.retail import desk as desks
from tests.workflows.retail.desk import Desk

READY = "answer.ready"
"""A fault point right before an answer is sent, so that several processes can be let go at once."""
PRELOAD = (
    "tests.workflows.retail.processes",
    "interlock.workflows.retail",
    "langgraph.checkpoint.memory",
    "psycopg",
    "pytest",
)


@contextmanager
def opened(url: str, thread: str) -> Iterator[Desk]:
    """The desk on a database, in a conversation that somebody else began. Its model has nothing more to say."""
    with SQLCheckpointer(url) as saver:
        desk = desks.make_desk(saver)
        desk.config = {"configurable": {"thread_id": thread}}
        yield desk


def answer(url: str, thread: str, interrupt_id: str, given: dict[str, Any]) -> tuple[dict[str, int], str | None]:
    """Answer one question.

    Returns:
        Which bodies were reached how often, and the code of the typed error, if there was one.
    """
    with opened(url, thread) as desk, desks.counted() as reached:
        desk.graph.get_state(desk.config)  # connections are open and statements prepared: the race is about the answer
        reach(READY)
        try:
            desk.resumes(Command(resume={interrupt_id: given}))
        except InterlockError as error:
            return reached, str(error.code)
    return reached, None
