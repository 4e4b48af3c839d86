"""`interlock mcp serve`: what it needs to know before it serves anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock.cli import app
from tests.mcp.server.support import ERAS, ISSUER, RESOURCE, body, over_stdio, public_pem


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ([], {"INTERLOCK_AS": "ada"}, "pass --stdio, or --http"),
        (["--stdio", "--http", "127.0.0.1:1"], {"INTERLOCK_AS": "ada"}, "pass --stdio, or --http"),
        (["--stdio"], {}, "The caller is unknown"),
        (["--stdio"], {"INTERLOCK_AS": "anonymous"}, "nobody in particular"),
        (["--http", "127.0.0.1:1"], {"INTERLOCK_AS": "ada"}, "--issuer, --resource, --keys are missing"),
        (["--http", "127.0.0.1:1", "--issuer", ISSUER, "--keys", "KEYS"], {}, "--resource is missing"),
        (["--http", "nowhere", "--issuer", ISSUER, "--resource", RESOURCE, "--keys", "KEYS"], {}, "is not HOST:PORT"),
        (["--stdio", "--app", "case"], {"INTERLOCK_AS": "ada"}, "some have no name or the same name"),
        (["--stdio", "--start-field", "nothing"], {"INTERLOCK_AS": "ada"}, "no data called nothing"),
    ],
)
def test_it_says_what_is_missing_and_serves_nothing(
    tmp_path: Path, options: list[str], environment: dict[str, str], said: str
) -> None:
    keys, database = tmp_path / "issuer.pem", tmp_path / "cases.db"
    keys.write_bytes(public_pem())
    database.touch()
    given = [str(keys) if one == "KEYS" else one for one in options]
    done = CliRunner().invoke(app, ["mcp", "serve", "--app", "retail", *given, "--db", str(database)], env=environment)

    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


async def test_several_workflows_are_served_from_the_command_line(tmp_path: Path) -> None:
    database = tmp_path / "both.db"
    database.touch()
    options = ["serve", "--app", "desk=retail", "--app", "cases=case", "--db", str(database), "--stdio"]
    async with over_stdio(*options, env={"INTERLOCK_AS": "ada"}, era=ERAS[1]) as client:
        started = [body(await client.call_tool(f"{name}__workflow_start", {})) for name in ("desk", "cases")]

    assert [one["workflow"] for one in started] == ["retail-desk", "case"]
