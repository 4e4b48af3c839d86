"""The page on MCP: its blocks run and print what stands below them, its commands and configurations name what is there."""

import json
import shlex
import tomllib
from typing import Any

import pytest
import typer.main

from interlock._version import __version__
from interlock.cli import build_app
from interlock.mcp.server.identity import ROLES, TENANT, TOKEN, WHO
from tests.docs.blocks import ROOT, Block, blocks_of, printed_by

PAGE = "docs/mcp.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture(scope="module")
def printed() -> dict[int, str]:
    return printed_by(PAGE)


@pytest.mark.parametrize(
    "said", [block for block in BLOCKS if block.language == "text"], ids=lambda block: f"line {block.line}"
)
def test_a_block_prints_what_stands_below_it(printed: dict[int, str], said: Block) -> None:
    above = max(line for line in printed if line < said.line)
    assert printed[above] == said.code


def options_of(arguments: list[str]) -> Any:
    """Read a command line as `interlock` would, without running it."""
    root: Any = typer.main.get_command(build_app())
    group = root.commands["mcp"]
    command = group.commands[arguments[1]]
    return command.make_context("interlock", arguments[2:], resilient_parsing=False).params


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "sh"], ids=lambda block: f"line {block.line}"
)
def test_every_command_is_one(block: Block) -> None:
    for line in block.commands:
        program, *arguments = shlex.split(line)
        if program == "interlock" and arguments[:1] == ["mcp"] and arguments[1] in {"serve", "approve"}:
            assert options_of(arguments)["app"]


def configurations() -> list[dict[str, Any]]:
    """The servers of all configurations on the page, and of the description for the registry."""
    found: list[dict[str, Any]] = []
    for block in BLOCKS:
        if block.language == "json":
            read = json.loads(block.code)
            found += [*read.get("mcpServers", read.get("servers", {})).values()]
        elif block.language == "toml":
            found += [*tomllib.loads(block.code)["mcp_servers"].values()]
    return found


def test_three_clients_are_configured_and_each_starts_the_server() -> None:
    servers = configurations()

    assert len(servers) == 3
    for server in servers:
        params = options_of(server["args"])
        assert (server["command"], params["stdio"], params["app"]) == ("interlock", True, ["retail"])
        assert set(server["env"]) <= {WHO, ROLES, TENANT}


def test_the_readme_has_one_of_them() -> None:
    (block,) = [block for block in blocks_of("README.md") if block.language == "json"]
    assert block.code in {one.code for one in BLOCKS if one.language == "json"}


def test_the_description_for_the_registry_is_of_this_release_and_starts_the_server() -> None:
    described = json.loads((ROOT / "server.json").read_text("utf-8"))
    (package,) = described["packages"]

    assert (described["version"], package["version"]) == (__version__, __version__)
    assert package["identifier"] == "langgraph-interlock"
    assert f"<!-- mcp-name: {described['name']} -->" in (ROOT / "README.md").read_text("utf-8")
    assert len(described["description"]) <= 100
    arguments = [one["value"] for one in package["packageArguments"]]
    assert options_of(arguments)["stdio"] is True
    required = {one["name"] for one in package["environmentVariables"] if one.get("isRequired")}
    assert required == {"INTERLOCK_APP", "INTERLOCK_DB", WHO}
    assert TOKEN not in json.dumps(described), "the approvers' server is nobody's default"
