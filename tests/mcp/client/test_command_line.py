"""`interlock mcp lock`, `diff` and `verify`: what a person types and reads, and what CI goes by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from interlock.mcp import MCPTools
from interlock.mcp.lock.lockfile import LockFile
from tests.cli.support import run
from tests.mcp.client.support import BANK, TOOLS, Bank, changed

APP = """
from interlock.mcp import MCPTools, from_environment
bank = MCPTools("bank", {target!r}, lock={lock!r}, env={{"TOKEN": lambda: "s3cret-value"}})
nothing = 1
"""


@pytest.fixture
def lock(bank: Bank) -> str:
    bank.lock.unlink()
    return str(bank.lock)


def test_a_server_is_locked_as_it_is_reached(bank: Bank, lock: str) -> None:
    result = run("mcp", "lock", "--lock", lock, "bank", *bank.target)

    assert result.exit_code == 0
    assert "3 tools locked" in result.output
    locked = LockFile.load(lock).servers["bank"]
    assert {*locked.tools} == {tool["name"] for tool in TOOLS}
    assert (locked.server.name, locked.server.version) == ("bank", "1.0")
    assert locked.target["args"] == ["-S", str(BANK), str(bank.folder)]


def test_what_is_locked_makes_contracts(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)

    assert bank.tools().contract("transfer").call({"amount": 1}) == {"left": 99}


def test_nothing_has_changed_and_all_is_as_locked(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)

    assert "Nothing has changed." in run("mcp", "diff", "--lock", lock).output
    verified = run("mcp", "verify", "--lock", lock)
    assert (verified.exit_code, verified.output.strip()) == (0, "All as locked: bank.")


def test_a_change_is_shown_in_words_and_fails_the_verification(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)
    bank.behave(tools=changed("transfer", title="Move \x1b[2J"))

    shown, verified = run("mcp", "diff", "--lock", lock), run("mcp", "verify", "--lock", lock, "--json")

    assert shown.exit_code == 0
    assert "bank: transfer changed" in shown.output
    assert 'the title was "Transfer money" and is "Move' in shown.output
    assert "\x1b" not in shown.output
    assert verified.exit_code == 1
    (change,) = json.loads(verified.output)["changes"]
    assert (change["kind"], change["tool"]) == ("changed", "transfer")


def test_locking_again_says_what_changed_and_raises_its_version(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)
    bank.behave(tools=changed("transfer", title="Move"))

    again = run("mcp", "lock", "--lock", lock)

    assert "bank: transfer changed" in again.output
    assert LockFile.load(lock).servers["bank"].tools["transfer"].version == 2
    assert run("mcp", "verify", "--lock", lock).exit_code == 0


def test_a_tool_that_was_added_is_told_and_does_not_fail(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)
    bank.behave(tools=[*TOOLS, {"name": "steal", "description": "Steal.", "inputSchema": {"type": "object"}}])

    assert "bank: steal added" in run("mcp", "diff", "--lock", lock).output
    assert run("mcp", "verify", "--lock", lock).exit_code == 0


def test_a_new_server_with_a_tool_of_the_same_name_is_told(bank: Bank, lock: str) -> None:
    run("mcp", "lock", "--lock", lock, "bank", *bank.target)

    result = run("mcp", "lock", "--lock", lock, "other", *bank.target)

    assert "other: transfer shadowed" in result.output
    assert "the server bank has a tool of this name" in result.output


def test_credentials_come_from_the_applications_own_tools(
    bank: Bank, lock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_app.py").write_text(APP.format(target=bank.target, lock=lock))
    try:
        locked = run("mcp", "lock", "--lock", lock, "--tools", "shop_app:bank")
        without = run("mcp", "verify", "--lock", lock)
        verified = run("mcp", "verify", "--lock", lock, "--tools", "shop_app:bank")
        wrong = run("mcp", "verify", "--lock", lock, "--tools", "shop_app:nothing")
    finally:
        sys.modules.pop("shop_app", None)

    assert locked.exit_code == verified.exit_code == 0
    assert "s3cret-value" not in Path(lock).read_text()
    assert without.exit_code == wrong.exit_code == 2
    assert "--tools module:name" in without.output.replace("\n  ", " ")
    assert "give an instance of MCPTools" in " ".join(wrong.output.split())


def test_credentials_come_from_named_variables(bank: Bank, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_TOKEN", "s3cret-value")

    run("mcp", "lock", "--lock", lock, "--env", "TOKEN=BANK_TOKEN", "bank", *bank.target)

    assert LockFile.load(lock).servers["bank"].target["env"] == {"TOKEN": {"form": "{}", "variable": "BANK_TOKEN"}}
    assert run("mcp", "verify", "--lock", lock).exit_code == 0
    monkeypatch.delenv("BANK_TOKEN")
    away = run("mcp", "verify", "--lock", lock)
    assert away.exit_code == 3
    assert "BANK_TOKEN is not set" in away.output


def test_a_server_that_does_not_start_locks_nothing(bank: Bank, lock: str) -> None:
    bank.behave(complains="no licence")

    result = run("mcp", "lock", "--lock", lock, "bank", *bank.target)

    assert result.exit_code == 3
    assert "ended before it had answered" in " ".join(result.output.split())
    assert "no licence" in " ".join(result.output.split())
    assert not Path(lock).exists()


@pytest.mark.parametrize("arguments", [["lock"], ["diff"], ["verify"], ["lock", "bank"]])
def test_without_a_lock_file_and_a_target_it_is_said_what_to_do(arguments: list[str], lock: str) -> None:
    result = run("mcp", *arguments[:1], "--lock", lock, *arguments[1:])

    assert result.exit_code == 2
    assert "interlock mcp lock" in " ".join(result.output.split())


def test_an_mcptools_says_how_it_is_reached_without_its_credentials() -> None:
    target = MCPTools("shop", "https://shop.example/mcp", headers={"A": "s3cret-value"}).target.to_json()

    assert target == {"url": "https://shop.example/mcp", "headers": {"A": "a value"}}
