"""Which principal the claims of a token name: the same for the HTTP service and the MCP servers, and nobody where a claim is unusable."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Principal
from interlock.mcp.server.identity import Caller, ClaimNames
from interlock.tools import PrincipalError
from interlock.tools.tokens import PrincipalClaims

ADA = {"sub": "ada"}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (ADA, Principal("ada")),
        (
            {**ADA, "roles": ["clerk", "boss"], "tenant": "acme"},
            Principal("ada", roles={"clerk", "boss"}, tenant="acme"),
        ),
        ({**ADA, "roles": "clerk  boss"}, Principal("ada", roles={"clerk", "boss"})),
        ({**ADA, "roles": None}, Principal("ada")),
        ({**ADA, "roles": []}, Principal("ada")),
    ],
)
def test_claims_name_a_principal(claims: dict[str, Any], expected: Principal) -> None:
    assert PrincipalClaims().principal_of(claims) == expected
    assert ClaimNames()(Caller(claims=claims)) == expected


@pytest.mark.parametrize("tenant", ["", None, 7, 0, False, ["acme"], {"id": "acme"}, " ", "\n", "x" * 300])
def test_a_tenant_that_is_there_and_cannot_be_used_is_refused_and_is_not_the_default_one(tenant: Any) -> None:
    for read in (PrincipalClaims().principal_of, lambda claims: ClaimNames()(Caller(claims=claims))):
        with pytest.raises(PrincipalError) as refused:
            read({**ADA, "tenant": tenant})
        assert refused.value.code == "invalid_token"


@pytest.mark.parametrize("roles", [7, True, {"boss": True}, ["boss", 7], ["boss", ""], ["boss", ["clerk"]]])
def test_roles_that_cannot_be_read_are_refused_and_not_left_out(roles: Any) -> None:
    with pytest.raises(PrincipalError, match="neither a list of roles nor a text"):
        PrincipalClaims().principal_of({**ADA, "roles": roles})


@pytest.mark.parametrize(
    "claims", [{}, {"sub": ""}, {"sub": 7}, {"sub": None}, {"sub": ["ada"]}, {"sub": "interlock:clock"}]
)
def test_a_subject_that_is_nobody_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(PrincipalError) as refused:
        PrincipalClaims().principal_of(claims)
    assert refused.value.code == "invalid_token"


def test_a_name_with_dots_reaches_into_objects_unless_a_claim_has_that_name() -> None:
    names = PrincipalClaims("user.id", "https://login.example/roles", "user.org")
    claims = {"user": {"id": "ada", "org": "acme"}, "https://login.example/roles": ["clerk"]}
    assert names.principal_of(claims) == Principal("ada", roles={"clerk"}, tenant="acme")
    assert names.principal_of({"user": {"id": "ada"}}) == Principal("ada")
    with pytest.raises(PrincipalError, match="not where it is said to be"):
        PrincipalClaims(tenant="org.id").principal_of({**ADA, "org": "acme"})


@pytest.mark.parametrize("none", [None, ""])
def test_where_there_is_one_tenant_no_claim_is_read_for_it(none: str | None) -> None:
    assert PrincipalClaims(tenant=none).principal_of({**ADA, "tenant": "acme"}) == Principal("ada")
