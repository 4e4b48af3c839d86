"""A walk over every entry point: another tenant, a stranger of the same tenant, nobody in particular, and forged values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import EventService, Principal, WorkflowGraph
from interlock.engines import Runs
from interlock.graphs.agents.middleware import WorkflowMiddleware
from interlock.operations.deliveries import Deliveries
from interlock.operations.instances import Instances
from interlock.operations.stepping import Stepper
from interlock.pictures.card import ApprovalCard
from interlock.tools import InterlockError
from tests.security.entry_points import (
    ABOUT_THE_GRAPH,
    ADA,
    APPROVER,
    COLLEAGUE,
    FOREIGN,
    LISTED,
    MIDDLEWARE,
    NOBODY,
    SECRETS,
    THREAD,
    Entry,
    Place,
    decisions,
    looks,
    runs,
)

GUARDED = [*runs(), *looks()]
DECISIONS = [*decisions()]
FACES = {
    "graph": WorkflowGraph,
    "instances": Instances,
    "card": ApprovalCard,
    "stepper": Stepper,
    "deliveries": Deliveries,
    "service": EventService,
    "runs": Runs,
}


def named(entry: Entry) -> str:
    return f"{entry.name} {entry.how}".strip()


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of LangChain, about its older ways to stream
        yield


def met(entry: Entry, place: Place, by: Principal) -> tuple[str, str]:
    """What somebody meets: an error with its text, or what they are given."""
    try:
        return "", repr(entry.call(place, by))
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}", " ".join(map(str, error.args))


class TestTheList:
    @pytest.mark.parametrize("face", FACES)
    def test_every_public_name_is_listed(self, face: str) -> None:
        public = {name for name in dir(FACES[face]) if not name.startswith("_")}
        walked = {entry.name.partition(".")[2] for entry in (*GUARDED, *DECISIONS) if entry.name.startswith(f"{face}.")}
        listed = {name.partition(".")[2] for name in LISTED if name.startswith(f"{face}.")}
        about = ABOUT_THE_GRAPH if face == "graph" else frozenset()
        assert public - walked - listed - about == set(), "say in tests/security/entry_points.py what guards it"
        assert (walked | listed) - public == set(), "this is listed and is not there"

    def test_every_hook_of_the_middleware_is_listed(self) -> None:
        assert {name for name in dir(WorkflowMiddleware) if not name.startswith("_")} - MIDDLEWARE == set()


class TestAnotherTenant:
    @pytest.mark.parametrize("entry", [*GUARDED, *DECISIONS], ids=named)
    def test_it_is_answered_as_where_nothing_is(self, entry: Entry, place: Place) -> None:
        before = place.stands()
        approval_id = place.approval_id

        error, said = met(entry, place, FOREIGN)

        assert place.stands() == before
        assert not [secret for secret in SECRETS if secret in said]
        if entry.begins:
            assert error == "interlock.tools.errors.RunError"
            assert said.startswith("There is no workflow instance")
            return
        nothing = Place(begun=False)
        empty = met(entry, _guessing(nothing, approval_id), FOREIGN)
        assert (error, said) == empty


def _guessing(place: Place, approval_id: str) -> Place:
    """An empty place where somebody names the approval of another one."""
    guessing = type("Guessing", (Place,), {"approval_id": approval_id, "__init__": lambda self: None})()
    guessing.__dict__.update(place.__dict__)
    result: Place = guessing
    return result


class TestTheSameTenant:
    @pytest.mark.parametrize("by", [COLLEAGUE, NOBODY], ids=["a stranger", "nobody in particular"])
    @pytest.mark.parametrize("entry", [*GUARDED, *DECISIONS], ids=named)
    def test_who_is_not_served_is_refused_and_recorded(self, entry: Entry, by: Principal, place: Place) -> None:
        before, refused = place.stands(), place.refusals_of(by)

        with pytest.raises(InterlockError) as raised:
            entry.call(place, by)

        said = " ".join(map(str, raised.value.args))
        assert raised.value.code in {"not_entitled", "resume_error"}
        assert not [secret for secret in SECRETS if secret in said + repr(raised.value.details)]
        assert place.stands() == before
        assert place.refusals_of(by) == refused + 1

    @pytest.mark.parametrize("entry", GUARDED, ids=named)
    def test_the_person_served_is_let_in(self, entry: Entry, place: Place) -> None:
        """Only to an answer they meet an error: nobody approves their own request."""
        error, said = met(entry, place, ADA)
        assert "may not run or see" not in said
        assert "There is no workflow instance" not in said
        assert error.rpartition(".")[2] in (
            {"PrincipalError", "ResumeError"} if entry.how.startswith("an answer") else {""}
        )

    @pytest.mark.parametrize("entry", DECISIONS, ids=named)
    def test_who_is_asked_decides(self, entry: Entry, place: Place) -> None:
        assert met(entry, place, APPROVER)[0] == ""

    @pytest.mark.parametrize(
        ("run_by", "by"),
        [("tenant", COLLEAGUE), ("tenant", NOBODY), ("clerk", COLLEAGUE), ({"clerk", "boss"}, COLLEAGUE)],
    )
    def test_run_by_says_who_else_is_let_in(self, run_by: Any, by: Principal) -> None:
        place = Place(options={"run_by": run_by})
        assert "A-SECRET" in repr(place.graph.get_state(THREAD, by=by))
        assert "A-SECRET" in repr(place.graph.invoke(None, THREAD, context=by))
        assert place.graph.instances.snapshot(THREAD, by=by).state == "open"
