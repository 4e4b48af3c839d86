"""What was said or read in another thread, by another person or for another tenant, or was erased since, is no source here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.commands.origins.capturing import keep_words
from interlock.testing import call
from tests.commands.origins.test_trusted_origins import ADA, THREAD, UNTRUSTED, desk, paying, reasons
from tests.support.databases import lent_database

OTHER: Any = {"configurable": {"thread_id": "other"}}


@pytest.fixture(params=["sqlite", "postgresql"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLCheckpointer]:
    url = f"sqlite:///{tmp_path / 'bank.db'}" if request.param == "sqlite" else lent_database(request, request.param)
    with SQLCheckpointer(url) as opened:
        opened.setup()
        yield opened


def asked_in(graph: WorkflowGraph, where: Any, said: str, by: Principal = ADA) -> list[str]:
    graph.invoke({"messages": [("user", said)]}, where, context=by)
    return [reason for one in graph.get_state(where).interrupts for reason in one.value["reasons"]]


def test_words_and_records_of_another_thread_do_not_count(saver: SQLCheckpointer) -> None:
    graph = desk([call("bill.list"), "Done.", paying("DE11RENT")], saver)
    assert asked_in(graph, OTHER, "Pay the bill for rent, 700 to DE11RENT") == []

    assert reasons(graph, "Pay 700") == [UNTRUSTED]


@pytest.mark.parametrize("other", [Principal("bob"), Principal("ada", tenant="elsewhere")], ids=lambda one: one.tenant)
def test_words_of_another_person_or_tenant_do_not_count(other: Principal, saver: SQLCheckpointer) -> None:
    graph = desk(["Done.", paying("DE11RENT")], saver)
    assert asked_in(graph, OTHER, "Pay 700 to DE11RENT", by=other) == []

    assert reasons(graph, "Pay 700") == [UNTRUSTED]


def test_words_that_a_namesake_of_another_tenant_said_of_the_same_instance_do_not_count(saver: SQLCheckpointer) -> None:
    graph = desk([paying("DE11RENT")], saver)
    workflow_id, namesake = graph.instances.id_of(THREAD), Principal("ada", tenant="elsewhere")
    with graph.engine.store.write() as connection:  # as the run of the namesake does before it is refused
        keep_words(graph.engine, connection, workflow_id, namesake, ["Pay 700 to DE11RENT"])

    assert reasons(graph, "Pay 700") == [UNTRUSTED]


def test_an_erased_conversation_is_no_source_and_tool_outputs_still_are(saver: SQLCheckpointer) -> None:
    graph = desk([call("bill.list"), "Done.", paying("DE11RENT")], saver)
    assert reasons(graph, "My account is DE11RENT, the bill is called Rent") == []

    saver.erase_conversation("t")

    assert reasons(graph, "Pay it") == [
        "TrustedOrigins: the value of the argument account comes from a record that nobody named; the value of the argument amount comes "
        "from a record that nobody named"
    ]


def test_an_erased_conversation_leaves_those_of_other_threads_alone(saver: SQLCheckpointer) -> None:
    graph = desk(["Done.", "Done.", paying("DE11RENT")], saver)
    for where in (OTHER, THREAD):
        assert asked_in(graph, where, "My account is DE11RENT, and 700 is due") == []

    saver.erase_conversation("other")

    assert reasons(graph, "Pay it") == []


def test_a_fork_does_not_know_what_is_said_after_it_nor_the_other_way_round(saver: SQLCheckpointer) -> None:
    graph = desk(["Done.", "Done.", paying("DE11RENT"), "Done.", paying("DE33FORK")], saver)
    reasons(graph, "Pay 700")
    graph.instances.fork(THREAD, thread_id="other", principal=ADA)
    assert asked_in(graph, OTHER, "My account is DE33FORK") == []

    assert reasons(graph, "Go on") == [UNTRUSTED]


def test_a_replay_from_an_older_checkpoint_is_judged_by_what_was_said_since_as_well(saver: SQLCheckpointer) -> None:
    """What a person said stays said; a checkpoint decides nothing about it."""
    graph = desk(["Done.", paying("DE11RENT"), paying("DE11RENT")], saver)
    assert reasons(graph, "My account is DE11RENT, and 700 is due") == []
    (first, *_) = [one for one in graph.get_state_history(THREAD) if not one.next]

    graph.invoke({"messages": [("user", "Pay it")]}, first.config, context=ADA)

    assert graph.get_state(THREAD).interrupts == ()
