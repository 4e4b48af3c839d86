"""Threads whose instance has not begun: LangGraph writes an input before the first node makes the instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlock import Principal
from interlock.tools import InterlockError, PrincipalError, RunError
from tests.security.entry_points import (
    ADA,
    COLLEAGUE,
    FOREIGN,
    HELLO,
    NOBODY,
    SECRETS,
    THREAD,
    Entry,
    Place,
    looks,
    runs,
)
from tests.security.test_every_entry_point import met, named

OTHERS = pytest.mark.parametrize(
    "by", [FOREIGN, COLLEAGUE, NOBODY], ids=["another tenant", "a stranger", "nobody in particular"]
)
ENTRIES = [entry for entry in (*runs(), *looks()) if entry.name.startswith(("graph.", "stepper."))]
"""What reads or writes a thread; the instances API knows an instance or nothing."""


class Held(Place):
    """A thread that holds ada's first message, and no instance yet: her run was held before its first node."""

    def __init__(self) -> None:
        super().__init__(begun=False)
        self.begin()

    def begin(self, by: Principal = ADA) -> None:
        self.graph.invoke({"messages": [("user", "A-SECRET")]}, THREAD, context=by, interrupt_before="*")
        assert not self.graph.engine.store.instances()

    def words(self) -> list[str]:
        return [message.text for message in self.graph.get_state(THREAD).values["messages"]]


@OTHERS
@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_nobody_else_reads_or_writes_it(entry: Entry, by: Principal) -> None:
    place = Held()

    error, said = met(entry, place, by)

    assert not [secret for secret in SECRETS if secret in said]
    assert place.words() == ["A-SECRET"]
    assert not place.graph.engine.store.instances()
    if by is FOREIGN and not entry.begins:
        assert (error, said) == met(entry, Place(begun=False), by), "as where nothing is"


def test_who_said_it_goes_on() -> None:
    place = Held()
    assert place.graph.invoke(None, THREAD, context=ADA)["messages"][0].text == "A-SECRET"
    assert place.graph.instances.get(THREAD).served == "ada"


def test_the_application_does_not_let_it_go_on_as_nobodys() -> None:
    place = Held()
    with pytest.raises(RunError, match="There is no workflow instance"):
        place.graph.invoke(None, THREAD)
    assert not place.graph.engine.store.instances()


def test_run_by_holds_there_as_well() -> None:
    place = Place(begun=False, options={"run_by": "clerk"})
    Held.begin(place)  # type: ignore[arg-type]
    with pytest.raises(PrincipalError):
        place.graph.invoke(None, THREAD, context=NOBODY)
    place.graph.invoke(None, THREAD, context=COLLEAGUE)


PLANTS: dict[str, Callable[[Any, Principal], Any]] = {
    "an update": lambda graph, by: graph.update_state(THREAD, HELLO, by=by),
    "a run that is held": lambda graph, by: graph.invoke(HELLO, THREAD, context=by, interrupt_before="*"),
}


@OTHERS
@pytest.mark.parametrize("plant", PLANTS)
def test_nobody_puts_words_into_a_conversation_before_it_begins(plant: str, by: Principal) -> None:
    place = Place(begun=False)
    try:
        PLANTS[plant](place.graph, by)
    except RunError:
        assert plant == "an update"
    try:
        place.graph.invoke({"messages": [("user", "hello")]}, THREAD, context=ADA)
    except InterlockError:
        return  # the thread is another one's; ada was not made to speak beside them
    if by is NOBODY and plant == "a run that is held":
        return  # it serves nobody in particular, and so its tenant
    assert "B-INJECT" not in [message.text for message in place.graph.get_state(THREAD).values["messages"]]


def test_a_fork_goes_to_no_thread_of_somebody_elses() -> None:
    place = Place()
    other: Any = {"configurable": {"thread_id": "t-2"}}
    place.graph.invoke(HELLO, other, context=FOREIGN, interrupt_before="*")
    with pytest.raises(RunError, match="There is no workflow instance"):
        place.graph.instances.fork(THREAD, thread_id="t-2", principal=ADA)
