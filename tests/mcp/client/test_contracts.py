"""Contracts are made from the lock file alone, verbatim; what a tool is, our code says, and hints make it only stricter."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

from interlock import Effect
from interlock.mcp import MCPTools, from_environment
from interlock.tools.errors import ContractError, LockFileError
from interlock.tools.kinds import ToolKind
from tests.mcp.client.support import TOOLS, Bank, changed


def test_what_the_server_published_is_what_the_model_is_offered(bank: Bank) -> None:
    made = {contract.wire_name: contract for contract in bank.tools().contracts()}

    assert {*made} == {tool["name"] for tool in TOOLS}
    for tool in TOOLS:
        contract = made[tool["name"]]
        assert contract.offered_schema() == tool["inputSchema"]
        assert contract.description == tool["description"]
        assert contract.output_schema() == tool.get("outputSchema", {})
    assert sorted(contract.name for contract in made.values()) == [
        "bank.environment",
        "bank.get_balance",
        "bank.transfer",
    ]


def test_making_contracts_reaches_no_server_and_imports_no_sdk(bank: Bank) -> None:
    program = f"""
import sys
from interlock.mcp import MCPTools
MCPTools("bank", ["does-not-exist"], lock={str(bank.lock)!r}).contracts()
print([name for name in sys.modules if name == "mcp" or name.startswith(("mcp.", "mcp_types"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
    assert bank.read("starts") == []


def test_everything_is_a_command_that_is_not_repeated_until_our_code_says_otherwise(bank: Bank) -> None:
    made = bank.tools(reads=[]).contracts()

    assert {(contract.kind, contract.effect) for contract in made} == {(ToolKind.COMMAND, Effect.AT_MOST_ONCE)}


def test_our_code_says_what_reads_and_what_may_be_repeated(bank: Bank) -> None:
    tools = bank.tools(reads=["get-balance"], idempotent=["transfer"])

    assert tools.contract("get-balance").kind is ToolKind.READ
    assert tools.contract("transfer").effect is Effect.IDEMPOTENT


@pytest.mark.parametrize(
    ("hint", "options", "kind", "effect"),
    [
        ({"readOnlyHint": True}, {}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"idempotentHint": True}, {}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"destructiveHint": False}, {}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"readOnlyHint": False}, {"reads": ["transfer"]}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"destructiveHint": True}, {"reads": ["transfer"]}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"idempotentHint": False}, {"idempotent": ["transfer"]}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"readOnlyHint": "yes"}, {}, ToolKind.COMMAND, Effect.AT_MOST_ONCE),
        ({"readOnlyHint": True}, {"reads": ["transfer"]}, ToolKind.READ, None),
        ({}, {"reads": ["transfer"]}, ToolKind.READ, None),
        ({}, {"idempotent": ["transfer"]}, ToolKind.COMMAND, Effect.IDEMPOTENT),
    ],
)
def test_a_hint_makes_a_tool_stricter_and_never_looser(
    hint: dict[str, object],
    options: dict[str, list[str]],
    kind: ToolKind,
    effect: Effect | None,
    open_bank: Callable[..., Bank],
) -> None:
    bank = open_bank(tools=changed("transfer", annotations=hint))

    contract = bank.tools(**{"reads": [], **options}).contract("transfer")

    assert (contract.kind, contract.effect) == (kind, effect)


def test_a_hint_that_contradicts_our_code_is_logged(
    open_bank: Callable[..., Bank], caplog: pytest.LogCaptureFixture
) -> None:
    bank = open_bank(tools=changed("transfer", annotations={"readOnlyHint": False}))

    with caplog.at_level(logging.WARNING):
        bank.tools(reads=["transfer"]).contract("transfer")

    assert "transfer of the MCP server bank is said to be a read" in caplog.text


def test_a_tool_that_says_it_is_destructive_is_marked_so(bank: Bank) -> None:
    assert bank.tools().contract("transfer").is_marked_destructive
    assert not bank.tools(reads=[]).contract("environment").is_marked_destructive


def test_a_prefix_keeps_two_servers_with_one_tool_apart(bank: Bank) -> None:
    contract = bank.tools(prefix="savings_").contract("transfer")

    assert (contract.name, contract.wire_name) == ("bank.transfer", "savings_transfer")


def test_the_version_of_a_contract_is_the_one_in_the_lock_file(bank: Bank) -> None:
    from interlock.mcp.lock.definitions import Listing, ToolDefinition
    from interlock.mcp.lock.lockfile import LockFile

    before = LockFile.load(bank.lock)
    now = tuple(map(ToolDefinition.from_json, changed("transfer", description="Another.")))
    before.with_listing("bank", {}, Listing(before.servers["bank"].server, now)).save(bank.lock)

    versions = {contract.wire_name: contract.version for contract in bank.tools().contracts()}

    assert versions == {"transfer": 2, "get-balance": 1, "environment": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reads": ["get_balance"]}, "no locked tool 'get_balance'"),
        ({"idempotent": ["nothing"]}, "no locked tool 'nothing'"),
        ({"reads": ["transfer"], "idempotent": ["transfer"]}, "in reads= and in idempotent="),
        ({"reads": "transfer"}, "give a list"),
        ({"timeout": 0}, "timeout=0"),
        ({"connect_timeout": float("inf")}, "connect_timeout=inf"),
        ({"headers": {"A": "b"}}, "headers= and auth= are for URLs"),
    ],
)
def test_what_does_not_go_together_is_said_at_once(options: dict[str, object], said: str, bank: Bank) -> None:
    with pytest.raises(ContractError, match=said):
        bank.tools(**options).contracts()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("https://ada:secret@bank.example/mcp", "has credentials in it"),
        ("https://bank.example/mcp?api_key=secret", "has api_key in it"),
        ([], "give a URL, or a command"),
        ("", "give a URL, or a command"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_without_its_secret(target: str | list[str], said: str) -> None:
    with pytest.raises(ContractError, match=said) as raised:
        MCPTools("bank", target)

    assert "secret" not in raised.value.message


def test_a_server_that_was_never_locked_has_no_contracts(bank: Bank) -> None:
    with pytest.raises(LockFileError, match="has no server 'shop'"):
        MCPTools("shop", "shop-mcp", lock=bank.lock).contracts()
    with pytest.raises(LockFileError, match="There is no lock file"):
        MCPTools("shop", "shop-mcp", lock=bank.folder / "other.json").contracts()


def test_what_is_shown_of_the_tools_holds_no_credential(bank: Bank) -> None:
    tools = bank.tools(env={"TOKEN": "s3cret-value", "OTHER": from_environment("OTHER")})

    assert "s3cret-value" not in repr(tools) + repr(tools.target) + str(tools.target.to_json())
    assert tools.target.to_json()["env"] == {"TOKEN": "a value", "OTHER": {"variable": "OTHER", "form": "{}"}}
