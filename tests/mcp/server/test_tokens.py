"""Access tokens: what counts, what does not, and what clients are told of where to get one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from interlock import Principal, Workflow, command
from interlock.mcp.server.identity import Caller, ClaimNames, from_environment, person_of, principal_of
from interlock.mcp.server.tokens import JWTVerifier, read_keys
from interlock.mcp.server.workflow_server import WorkflowServer
from interlock.tools.errors import InputError, PrincipalError
from tests.mcp.server.support import ISSUER, RESOURCE, listening, over_http, public_pem, signing_key, token, verifier

NOW = int(time.time())


@command("door.open", effect="transactional")
def open_door() -> str:
    """Open the door."""
    return "open"


def served(**options: Any) -> WorkflowServer:
    flow = Workflow("house")
    flow.add_state("closed").add_state("open", final=True)
    flow.add_edge("closed", open_door, "open")
    return WorkflowServer(flow.compile(), principal=ClaimNames(), **options)


async def test_a_token_of_the_issuer_for_this_server_counts() -> None:
    found = await verifier().verify_token(token("ada", roles=["clerk"], tenant="acme", scope="desk:use"))

    assert found is not None
    assert (found.subject, found.resource, found.scopes) == ("ada", RESOURCE, ["desk:use"])
    assert ClaimNames()(Caller(claims=found.claims)) == Principal("ada", roles={"clerk"}, tenant="acme")
    assert found.token == ""


@pytest.mark.parametrize(
    ("what", "given"),
    {
        "of another issuer": token("ada", iss="https://elsewhere.example"),
        "for another server": token("ada", aud="http://127.0.0.1/other"),
        "over": token("ada", exp=NOW - 60),
        "not yet begun": token("ada", nbf=NOW + 600),
        "without an end": token("ada", exp=None),
        "without a subject": token(None),
        "without an audience": token("ada", aud=None),
        "signed by somebody else": token("ada", key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "signed with another kind of key": token("ada", key=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
        "signed with a shared secret": token("ada", key="a shared secret of at least 32 bytes", algorithm="HS256"),
        "not signed": jwt.encode(
            {"sub": "ada", "iss": ISSUER, "aud": RESOURCE, "exp": NOW + 60}, None, algorithm="none"
        ),
        "no token at all": "no.token.at-all",
        "empty": "",
    }.items(),
)
async def test_a_token_does_not_count_that_is(what: str, given: str) -> None:
    assert await verifier().verify_token(given) is None, what


async def test_the_public_key_is_no_shared_secret() -> None:
    """The classic confusion: the public key, which everybody has, taken for the secret of an HMAC."""
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}')
    claims = jwt.utils.base64url_encode(
        json.dumps({"sub": "ada", "iss": ISSUER, "aud": RESOURCE, "exp": NOW + 600}).encode()
    )
    import hashlib
    import hmac

    signed = hmac.new(public_pem(), header + b"." + claims, hashlib.sha256).digest()
    forged = b".".join([header, claims, jwt.utils.base64url_encode(signed)]).decode()

    assert await verifier().verify_token(forged) is None


def test_algorithms_without_a_public_key_are_refused_when_the_verifier_is_made() -> None:
    for algorithm in ("HS256", "none"):
        with pytest.raises(InputError, match="are not accepted"):
            verifier(algorithms=(algorithm,))


async def test_keys_are_found_by_their_id_in_a_jwk_set(tmp_path: Path) -> None:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key().public_key()))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{**jwk, "kid": "one", "alg": "RS256", "use": "sig"}]}))
    made = JWTVerifier(issuer=ISSUER, audience=RESOURCE, keys=read_keys(str(keys)))
    claims = {"sub": "ada", "iss": ISSUER, "aud": RESOURCE, "exp": NOW + 600}

    known = jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": "one"})
    other = jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": "two"})

    assert await made.verify_token(known) is not None
    assert await made.verify_token(other) is None


@pytest.mark.parametrize("place", ["http://login.example/keys", "ftp://login.example/keys"])
def test_keys_do_not_come_over_a_connection_that_others_can_change(place: str) -> None:
    with pytest.raises(InputError, match="can change"):
        JWTVerifier(issuer=ISSUER, audience=RESOURCE, keys=read_keys(place))


def test_keys_that_are_none_are_told_of(tmp_path: Path) -> None:
    for text in ("{not json", '{"keys": 7}', "-----BEGIN NOTHING-----"):
        file = tmp_path / "keys"
        file.write_text(text)
        with pytest.raises(InputError, match="neither a JWK Set nor a public key"):
            JWTVerifier(issuer=ISSUER, audience=RESOURCE, keys=read_keys(str(file)))
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(str(tmp_path / "nothing"))


# Who it is


@pytest.mark.parametrize(
    "claims", [None, {}, {"sub": ""}, {"sub": "anonymous"}, {"sub": 7}, {"sub": "interlock:clock"}]
)
def test_nobody_in_particular_is_served(claims: dict[str, Any] | None) -> None:
    with pytest.raises(PrincipalError):
        principal_of(ClaimNames(), Caller(claims=claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "robot", "client_id": "robot"},
        {"sub": "robot", "azp": "robot"},
        {"sub": "robot", "client_id": ["a list"], "azp": "robot"},
        {"sub": "sue", "client_id": "assistant", "act": {"sub": "robot"}},
        {"client_id": "assistant"},
    ],
)
def test_a_token_that_names_no_person_decides_nothing(claims: dict[str, Any]) -> None:
    with pytest.raises(PrincipalError):
        person_of(Caller(claims=claims), ClaimNames())


def test_a_token_of_a_person_names_them() -> None:
    claims = {"sub": "sue", "client_id": "assistant", "roles": "supervisor clerk"}
    assert person_of(Caller(claims=claims), ClaimNames()) == Principal("sue", roles={"supervisor", "clerk"})


def test_the_environment_says_who_calls() -> None:
    said = {"INTERLOCK_AS": "ada", "INTERLOCK_ROLES": "clerk, supervisor", "INTERLOCK_TENANT": "acme"}
    assert from_environment(said) == Principal("ada", roles={"clerk", "supervisor"}, tenant="acme")
    for nobody in (
        {},
        {"INTERLOCK_AS": ""},
        {"INTERLOCK_AS": "anonymous"},
        {"INTERLOCK_AS": "ada", "INTERLOCK_TENANT": ""},
    ):
        with pytest.raises(PrincipalError):
            from_environment(nobody)


# Over HTTP


async def test_without_a_token_that_counts_nothing_is_served_and_the_client_is_told_where_to_get_one() -> None:
    app = served().http_app(tokens=verifier(), issuer=ISSUER, resource=RESOURCE, scopes=["desk:use"])
    with listening(app) as url:
        async with httpx2.AsyncClient() as http:
            bare = await http.post(f"{url}/mcp", json={})
            wrong = await http.post(f"{url}/mcp", json={}, headers={"Authorization": f"Bearer {token('ada', iss='x')}"})
            narrow = await http.post(f"{url}/mcp", json={}, headers={"Authorization": f"Bearer {token('ada')}"})
            metadata = (await http.get(f"{url}/.well-known/oauth-protected-resource/mcp")).json()

    assert (bare.status_code, wrong.status_code, narrow.status_code) == (401, 401, 403)
    assert (
        'resource_metadata="http://127.0.0.1/.well-known/oauth-protected-resource/mcp"'
        in bare.headers["www-authenticate"]
    )
    assert 'error="insufficient_scope"' in narrow.headers["www-authenticate"]
    assert metadata["resource"] == RESOURCE
    assert metadata["authorization_servers"] == [f"{ISSUER}/"]
    assert metadata["scopes_supported"] == ["desk:use"]


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_with_one_it_is_served(era: str) -> None:
    app = served().http_app(tokens=verifier(), issuer=ISSUER, resource=RESOURCE)
    with listening(app) as url:
        async with over_http(f"{url}/mcp", era=era, bearer=token("ada")) as client:
            tools = [one.name for one in (await client.list_tools()).tools]

    assert "door_open" in tools


async def test_a_request_to_another_name_is_refused() -> None:
    """Against DNS rebinding: a page in a browser that calls itself this machine."""
    with listening(served().http_app()) as url:
        async with httpx2.AsyncClient() as http:
            for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                answer = await http.post(f"{url}/mcp", json={}, headers=headers)
                assert answer.status_code in {403, 421}, headers


async def test_a_body_that_is_too_long_is_not_read() -> None:
    app = served().http_app()
    with listening(app) as url:
        async with httpx2.AsyncClient() as http:
            answer = await http.post(
                f"{url}/mcp", content=b"[" * 2_000_000, headers={"Content-Type": "application/json"}
            )

    assert answer.status_code == 413


def test_tokens_need_an_issuer_and_a_resource_to_tell_clients_of() -> None:
    with pytest.raises(InputError, match="where to get one"):
        served().http_app(tokens=verifier())
