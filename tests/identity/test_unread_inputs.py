"""A thread whose first input no step has read, because its run was cut off there, already belongs to whoever said it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Principal
from interlock.tools import PrincipalError, RunError
from tests.identity.desk import ADA, EVE, Desk, config, said

ELSEWHERE = Principal("ada", tenant="elsewhere")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def graph(desk: Desk) -> Any:
    """With a thread `cut` on which nothing but the checkpoint of ada's input was stored."""
    saver = InMemorySaver()
    graph = desk.graph(saver=saver)
    graph.invoke(said("my secret"), config("whole"), context=ADA)
    *_, first = saver.list(config("whole"))
    assert (first.metadata["source"], first.metadata["step"]) == ("input", -1)
    versions = first.checkpoint["channel_versions"]
    saver.put(config("cut", checkpoint_ns=""), first.checkpoint, first.metadata, versions)
    return graph


def test_nobody_else_of_the_tenant_speaks_on_it(graph: Any) -> None:
    with pytest.raises(PrincipalError, match="eve may not run or see"):
        graph.invoke(said(), config("cut"), context=EVE)
    assert len([*graph.get_state_history(config("cut"))]) == 1


def test_to_another_tenant_nothing_is_there(graph: Any) -> None:
    with pytest.raises(RunError, match="no "):
        graph.invoke(said(), config("cut"), context=ELSEWHERE)
    assert len([*graph.get_state_history(config("cut"))]) == 1


def test_whoever_said_it_goes_on(graph: Any, desk: Desk) -> None:
    output = graph.invoke(said("hello again"), config("cut"), context=ADA)
    assert output["messages"][-1].content == "Done."
    assert {one.served for one in desk.store.instances()} == {"ada"}
