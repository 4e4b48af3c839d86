"""Served workflows for tests: the ways to reach them, tokens of an issuer of the test's own, and what a client does over and over."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from interlock.mcp.server.hosting import Hosted
from interlock.mcp.server.tokens import JWTVerifier

ERAS = ("legacy", "auto")
"""The handshake of 2025, and what the newest protocol revision does instead."""
ISSUER, RESOURCE = "https://login.example", "http://127.0.0.1/mcp"


@cache
def signing_key() -> rsa.RSAPrivateKey:
    """The issuer's key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem() -> bytes:
    """The issuer's public key."""
    return signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verifier(audience: str = RESOURCE, **options: Any) -> JWTVerifier:
    """A verifier of the issuer's tokens."""
    return JWTVerifier(issuer=ISSUER, audience=audience, keys=public_pem(), **options)


def token(
    subject: str | None,
    *,
    roles: Sequence[str] = (),
    tenant: str | None = None,
    key: Any = None,
    algorithm: str = "RS256",
    **claims: Any,
) -> str:
    """An access token of the issuer; a claim that is None is left out."""
    now = int(time.time())
    body = {
        "iss": ISSUER,
        "aud": RESOURCE,
        "exp": now + 600,
        "iat": now,
        "sub": subject,
        "client_id": "assistant",
        "roles": [*roles],
        "tenant": tenant,
        **claims,
    }
    return jwt.encode(
        {name: value for name, value in body.items() if value is not None}, key or signing_key(), algorithm=algorithm
    )


@contextlib.contextmanager
def listening(app: Any) -> Iterator[str]:
    """Run an ASGI application on a port of its own, in a thread.

    Returns:
        Its URL, without a path.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended before it served"
        assert time.monotonic() < limit, "the server did not start"
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.asynccontextmanager
async def over_http(url: str, *, era: str = "auto", bearer: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """The SDK's client over HTTP."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, **options) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def over_stdio(
    *arguments: str, era: str = "auto", cwd: Path | None = None, env: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """The SDK's client with `interlock mcp` as a process of its own."""
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "interlock", "mcp", *arguments],
        env={**{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}, **(env or {})},
        cwd=None if cwd is None else str(cwd),
    )
    async with Client(started, mode=era, **options) as client:
        yield client


@contextlib.asynccontextmanager
async def in_memory(server: Hosted, era: str = "auto", **options: Any) -> AsyncIterator[Client]:
    """The SDK's client in the same process."""
    async with Client(server.server, mode=era, **options) as client:
        yield client


def body(result: Any) -> dict[str, Any]:
    """The structured content of a result."""
    assert isinstance(result, CallToolResult)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


__all__ = [
    "ERAS",
    "ISSUER",
    "RESOURCE",
    "body",
    "in_memory",
    "listening",
    "over_http",
    "over_stdio",
    "public_pem",
    "signing_key",
    "token",
    "verifier",
]
