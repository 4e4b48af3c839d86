"""Whose an instance is, and who may propose on it."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.tools import ContractError, Principal, PrincipalError
from interlock.tools.ownership import Ownership, RunBy
from interlock.tools.principal import RuntimeActor

ADA = Principal("ada", tenant="acme")
CLERK = Principal("clara", roles={"clerk"}, tenant="acme")  # type: ignore[arg-type]
COLLEAGUE = Principal("cole", tenant="acme")
NOBODY = Principal.anonymous("acme")
FOREIGN = Principal("ada", roles={"clerk"}, tenant="elsewhere")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run_by", "served", "may"),
    [
        ("served", "ada", [ADA]),
        ("clerk", "ada", [ADA, CLERK]),
        ({"clerk", "manager"}, "ada", [ADA, CLERK]),
        ("tenant", "ada", [ADA, CLERK, COLLEAGUE, NOBODY]),
        ("served", None, [ADA, CLERK, COLLEAGUE, NOBODY]),
        ("clerk", None, [ADA, CLERK, COLLEAGUE, NOBODY]),
    ],
)
def test_who_may_run_an_instance(run_by: Any, served: str | None, may: list[Principal]) -> None:
    whose = Ownership("acme", served, RunBy.of(run_by))
    everybody = (ADA, CLERK, COLLEAGUE, NOBODY, FOREIGN)
    assert [one for one in everybody if whose.why_not_run(one) is None] == may


def test_somebody_who_only_claims_the_name_of_nobody_is_not_served() -> None:
    claimed = Principal("anonymous", roles={"clerk"}, tenant="acme")  # type: ignore[arg-type]
    assert Ownership("acme", "ada", RunBy.of("clerk")).why_not_run(claimed) is not None
    assert "unknown" in str(Ownership("acme", "ada").why_not_run(claimed))


@pytest.mark.parametrize("run_by", ["served", "tenant", ["clerk"], ["clerk", "manager"]])
def test_what_is_stored_of_it_is_read_back(run_by: Any) -> None:
    assert RunBy.of(RunBy.of(run_by).to_json()) == RunBy.of(run_by)


@pytest.mark.parametrize("given", [None, 5, "", " ", [], [""], [5], {"served", "clerk"}, ["tenant"]])
def test_what_says_nothing_of_who_may_run_is_refused(given: Any) -> None:
    with pytest.raises(ContractError, match="does not say who may run"):
        RunBy.of(given)


class TestTheLibraryItself:
    def test_it_lets_its_tenants_instances_go_on_and_no_others(self) -> None:
        assert Ownership("acme", "ada").why_not_run(RuntimeActor.clock("acme")) is None
        assert Ownership("acme", "ada").why_not_run(RuntimeActor.clock("elsewhere")) is not None

    @pytest.mark.parametrize("name", ["interlock:clock", " interlock:clock", "event:/hr", "interlock:"])
    def test_nobody_takes_its_names(self, name: str) -> None:
        for make in (
            lambda: Principal(name),
            lambda: Principal.from_json({"id": name}),
            lambda: Principal.coerce({"principal": {"id": name}}),
        ):
            with pytest.raises(PrincipalError, match="Interlock's own"):
                make()

    def test_nothing_that_is_read_becomes_it(self) -> None:
        with pytest.raises(PrincipalError):
            Principal.from_json(RuntimeActor.clock("acme").to_json())
        assert RuntimeActor.clock("acme") != Principal("clock", tenant="acme")
