"""The client that the conformance suite starts: `MCPTools`, as an application uses it. The server's URL is the last argument.

It locks what the server lists, makes contracts of it, and calls each tool once. Where the server asks for authorization, the SDK's OAuth
provider gets a token; the page on which a person would agree is opened without one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from interlock.mcp import MCPTools
from interlock.mcp.lock.lockfile import LockFile
from interlock.tools.contracts import ToolContract
from interlock.tools.errors import ContractError, InterlockError

REDIRECT = "http://localhost:3030/callback"
CLIENT = "https://conformance-test.local/client-metadata.json"
"""The id of a client that is known by a document: the suite's own."""
SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
VALUES = {"string": "text", "integer": 5, "number": 3, "boolean": True, "array": [], "object": {}, "null": None}


class Storage:
    """Keeps tokens for as long as the process lives."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        if "client_id" in CONTEXT:
            self.client = OAuthClientInformationFull(
                client_id=CONTEXT["client_id"],
                client_secret=CONTEXT.get("client_secret"),
                redirect_uris=[REDIRECT],
                token_endpoint_auth_method="client_secret_basic" if "client_secret" in CONTEXT else "none",
            )

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """A browser whose user agrees at once."""

    def __init__(self) -> None:
        self.came_back = ""

    async def open(self, url: str) -> None:
        async with httpx2.AsyncClient(follow_redirects=False) as client:
            self.came_back = (await client.get(url)).headers["location"]

    async def code(self) -> AuthorizationCodeResult:
        said = {name: values[0] for name, values in parse_qs(urlsplit(self.came_back).query).items()}
        return AuthorizationCodeResult(code=said["code"], state=said.get("state"), iss=said.get("iss"))


def authorization(url: str) -> OAuthClientProvider | None:
    """What answers a server that asks for a token."""
    if not SCENARIO.startswith("auth/"):
        return None
    browser = Browser()
    metadata = OAuthClientMetadata(
        client_name="langgraph-interlock",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    return OAuthClientProvider(url, metadata, Storage(), browser.open, browser.code, client_metadata_url=CLIENT)


def arguments(schema: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Some arguments that fit, of every property that has a type."""
    found: dict[str, Any] = {}
    for name, one in (schema.get("properties") or {}).items():
        if name == "schema":
            found[name] = context.get("schema", {})
        elif isinstance(one, dict) and ("default" in one or "enum" in one or one.get("type") in VALUES):
            found[name] = one.get("default", (one.get("enum") or [VALUES.get(str(one.get("type")))])[0])
    return found


def contracts(tools: MCPTools) -> list[ToolContract]:
    """The contracts of all tools whose schemas can be used; one that points to another document cannot."""
    found: list[ToolContract] = []
    for name in tools.locked().tools:
        try:
            found.append(tools.contract(name))
        except ContractError as error:
            print(f"{name}: {error.message}")
    return found


def main() -> None:
    """Play one scenario."""
    url = sys.argv[-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mcp.lock.json"
        patience = {"timeout": 60, "connect_timeout": 60}
        tools = MCPTools("server", url, lock=path, auth=authorization(url), **patience)
        listing = tools.listing()
        LockFile().with_listing("server", {}, listing).save(path)
        made = contracts(tools)
        focal = next((one for one in made if "schema" not in one.offered_schema().get("properties", {})), None)
        given = {one["name"]: one["arguments"] for one in CONTEXT.get("toolCalls") or ()}
        for contract in made:
            offered = contract.offered_schema()
            chosen = given.get(contract.wire_name) or arguments(
                offered, {"schema": None if focal is None else focal.offered_schema()}
            )
            try:
                print(contract.wire_name, contract.call(chosen))
            except (InterlockError, TimeoutError) as error:
                print(contract.wire_name, type(error).__name__, error)
        tools.close()


if __name__ == "__main__":
    main()
