"""Bearer tokens: which are believed, and what they make of a caller."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from interlock.serving import Tokens
from interlock.tools import InputError, PrincipalError
from tests.serving.desk import served

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "public.pem"
    path.write_bytes(
        KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def claims(**changed: Any) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "iss": "https://login.example", "aud": "workflows", "sub": "sue", "roles": ["supervisor"], "exp": now + dt.timedelta(hours=1),
    } | changed  # fmt: skip


def token(key: Any = KEY, algorithm: str = "ES256", **changed: Any) -> str:
    given = {name: value for name, value in claims(**changed).items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm)


def tokens(pem: Path, **options: Any) -> Tokens:
    return Tokens(**({"issuer": "https://login.example", "audience": "workflows", "keys": pem} | options))


def test_a_valid_token_names_who_calls_with_their_roles_and_tenant(pem: Path) -> None:
    found = tokens(pem).principal(token(tenant="acme"))
    assert (found.id, found.roles, found.tenant) == ("sue", frozenset({"supervisor"}), "acme")
    assert tokens(pem).principal(token(roles="supervisor clerk")).roles == {"supervisor", "clerk"}
    nested = tokens(pem, roles_claim="realm_access.roles").principal(token(realm_access={"roles": ["boss"]}))
    assert nested.roles == {"boss"}
    with pytest.raises(PrincipalError, match="'roles' is neither"):
        tokens(pem).principal(token(roles={"supervisor": True}))


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        (OTHER, {}),
        (KEY, {"exp": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}),
        (KEY, {"exp": None}),
        (KEY, {"iss": "https://evil.example"}),
        (KEY, {"aud": "another"}),
        (KEY, {"aud": None}),
        (KEY, {"sub": None}),
        (KEY, {"sub": ""}),
        (KEY, {"sub": "anonymous"}),
        (KEY, {"sub": "interlock:clock"}),
        (KEY, {"nbf": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)}),
    ],
)
def test_what_is_not_valid_is_not_believed(pem: Path, key: Any, changed: dict[str, Any]) -> None:
    with served(principal=None, tokens=tokens(pem)) as at:
        answer = at.client.get("/v1/workflows", headers={"Authorization": f"Bearer {token(key, **changed)}"})
        assert answer.status_code == 401, answer.text


def test_neither_no_signature_nor_a_shared_secret_counts(pem: Path) -> None:
    with served(principal=None, tokens=tokens(pem)) as at:
        unsigned = jwt.encode(claims(), None, algorithm="none")  # type: ignore[arg-type]
        ed = jwt.encode(claims(), ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA")
        for one in (unsigned, ed, "x.y.z", "", "a" * 20_000):
            assert at.client.get("/v1/workflows", headers={"Authorization": f"Bearer {one}"}).status_code == 401
        assert at.client.get("/v1/workflows", headers={"Authorization": f"Bearer {token()}"}).status_code == 200
    with pytest.raises(InputError, match="algorithms"):
        tokens(pem, algorithms=["HS256"])


def test_a_token_that_is_revoked_no_longer_counts_from_the_next_request_on(pem: Path) -> None:
    revoked: set[str] = set()
    with served(principal=None, tokens=tokens(pem, revoked=lambda it: it["sub"] in revoked)) as at:
        headers = {"Authorization": f"Bearer {token()}"}
        assert at.client.get("/v1/workflows", headers=headers).status_code == 200
        revoked.add("sue")
        assert at.client.get("/v1/workflows", headers=headers).status_code == 401


def test_a_browser_keeps_the_token_where_scripts_cannot_read_it(pem: Path) -> None:
    with served(principal=None, tokens=tokens(pem)) as at:
        signed_in = at.client.post("/console/sign-in", data={"token": token()}, follow_redirects=False)
        kept = signed_in.headers["set-cookie"]
        assert "HttpOnly" in kept
        assert "SameSite=lax" in kept
        assert ">sue (supervisor)<" in at.client.get("/console/attention").text
        wrong = at.client.post("/console/sign-in", data={"token": token(OTHER)}, follow_redirects=False)
        assert wrong.status_code == 403
        at.client.headers["Origin"] = "https://evil.example"
        started = at.client.post("/v1/workflows/desk/instances", json={})
        assert (started.status_code, started.json()["code"]) == (403, "other_origin")


def test_settings_that_would_believe_anybody_are_refused(pem: Path) -> None:
    with pytest.raises(InputError, match="exactly one way"), served(principal=None):
        pass
    with pytest.raises(InputError, match="exactly one way"), served(tokens=tokens(pem)):
        pass
    for options in (
        {"issuer": ""},
        {"audience": ""},
        {"keys": "/none.pem"},
        {"keys": "http://login.example/jwks.json"},
    ):
        with pytest.raises(InputError):
            tokens(pem, **options)


def test_keys_that_are_out_of_reach_are_told_as_that_and_not_as_a_bad_token() -> None:
    away = Tokens(issuer="https://login.example", audience="workflows", keys="http://127.0.0.1:9/jwks.json")
    with pytest.raises(PrincipalError) as caught:
        away.principal(token())
    assert (caught.value.code, caught.value.retryable) == ("keys_unavailable", True)
    with served(principal=None, tokens=away) as at:
        assert at.client.get("/v1/workflows", headers={"Authorization": f"Bearer {token()}"}).status_code == 503


def test_a_key_that_the_issuer_took_out_of_its_set_no_longer_counts() -> None:
    """Keys of a set are looked for in the set; none is remembered by itself for as long as the process runs."""
    verifier = Tokens(issuer="https://login.example", audience="workflows", keys="https://login.example/jwks")._verifier
    published = [KEY]

    def fetch() -> dict[str, Any]:
        keys = [jwt.algorithms.ECAlgorithm.to_jwk(one.public_key(), as_dict=True) for one in published]
        return {"keys": [{**one, "kid": f"key-{number}", "use": "sig"} for number, one in enumerate(keys)]}

    client = verifier._keys
    client.fetch_data = fetch
    client.jwk_set_cache = None
    signed = jwt.encode(claims(), KEY, algorithm="ES256", headers={"kid": "key-0"})
    assert verifier.claims_of(signed)["sub"] == "sue"
    published[0] = OTHER
    with pytest.raises(jwt.PyJWTError):
        verifier.claims_of(signed)
