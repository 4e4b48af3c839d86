"""`interlock runs` and `interlock work` as somebody types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from interlock import Principal
from interlock.cli import app
from interlock.engines import Runs
from tests.engines.support import ADA, shop_flow

HELLO = {"messages": [("user", "please")]}


def shown(*words: str) -> dict[str, object]:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.output))


def test_runs_are_listed_cancelled_and_retried(postgres_database: str) -> None:
    runs = Runs([shop_flow()], postgres_database)
    runs.start("shop", HELLO, principal=Principal("ada", tenant="acme"), key="k")
    number = runs.start("shop", HELLO, principal=ADA, key="k").number
    runs.close()
    db = ("--db", postgres_database)
    assert len(shown("runs", "list", *db)["runs"]) == 2  # type: ignore[arg-type]
    page = shown("runs", "list", *db, "--tenant", "acme")
    assert [one["tenant"] for one in page["runs"]] == ["acme"]  # type: ignore[attr-defined]
    newest = shown("runs", "list", *db, "--limit", "1")
    assert newest["next"] == number
    assert len(shown("runs", "list", *db, "--after", str(number))["runs"]) == 1  # type: ignore[arg-type]
    assert shown("runs", "cancel", str(number), *db)["status"] == "cancelled"
    assert shown("runs", "retry", str(number), *db)["status"] == "due"
    refused = CliRunner().invoke(app, ["runs", "retry", str(number), *db])
    assert refused.exit_code == 2
    table = CliRunner().invoke(app, ["runs", "list", *db], env={"COLUMNS": "80"}).output
    assert all(len(line) <= 80 for line in table.splitlines())
    assert str(number) in table


def test_a_worker_refuses_other_databases_with_advice(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    db.touch()
    refused = CliRunner().invoke(app, ["work", "--app", "tests.engines.chaos_app:case", "--db", str(db)])
    assert refused.exit_code == 2
    assert "interlock tick" in " ".join(refused.output.split())


def test_a_worker_ends_by_itself_when_it_is_told_to(postgres_database: str) -> None:
    words = ["-m", "interlock", "work", "--app", "tests.engines.chaos_app:engagement", "--db", postgres_database]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        said = first + process.stdout.read()
        assert process.wait(60) == 0
    assert "Works on engagement" in said
    assert "connections" in said
