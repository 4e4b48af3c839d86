"""Whatever somebody wrote into the rows of an audit trail, a check says what is wrong with them and raises nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from interlock import SQLCheckpointer, Workflow, WorkflowStore, command
from interlock.checkpointing.store import trail
from interlock.checkpointing.store.audit import GENESIS, chain_hash, payload_digest
from interlock.checkpointing.store.heads import HeadSigner, HeadVerifier, SignedHead
from interlock.checkpointing.tables.workflow import audit
from interlock.tools import InputError, Principal
from tests.cli.support import run

HERE = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
COLUMNS = [column.name for column in audit.columns if column.name not in {"workflow_id", "number"}]
VALUES: list[Any] = ["zzz", "", "{}", "[]", "[" * 100_000, "null", 77, -1, 2**62, 1.5, b"\xff\xfe", "\x00", None]
SPOILED_ROW = "the instance has no row any more, which would say where its trail ends"


@command("order.note", effect="transactional")
def note(order_id: str) -> str:
    """Write a note on an order."""
    return order_id


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an instance whose trail has four records."""
    path = tmp_path_factory.mktemp("trail") / "orders.db"
    flow = Workflow("orders")
    flow.add_state("open")
    flow.add_edge("open", note, "open")
    with SQLCheckpointer(f"sqlite:///{path}") as saver:
        graph = flow.compile(saver)
        graph.invoke({"messages": []}, HERE, context=Principal("ada"))
        for number in range(3):
            graph.instances.execute(HERE, note, {"orderId": str(number)}, principal=Principal("ada"))
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copy(template, tmp_path / "orders.db"))


def write(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for statement, values in statements:
            database.execute(statement, values)


def read(path: Path, statement: str) -> tuple[Any, ...]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        row: tuple[Any, ...] = database.execute(statement).fetchone()
        return row


def problems(path: Path, **noted: Any) -> list[str]:
    store = WorkflowStore(f"sqlite:///{path}")
    try:
        store.audit("wf_1")
        return [broken.problem for broken in store.verify("wf_1", **noted)]
    finally:
        store.close()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("column", COLUMNS)
def test_any_value_in_any_column_is_told_and_crashes_nothing(column: str, value: Any, path: Path) -> None:
    (before,) = read(path, f"SELECT {column} FROM workflow_audit WHERE number = 3")
    if value == before:
        return  # nothing was changed
    try:
        write(path, (f"UPDATE workflow_audit SET {column} = ? WHERE number = 3", (value,)))
    except sqlite3.IntegrityError:
        assert value is None  # the database itself refuses it
        return

    assert problems(path)
    if value == "zzz":
        for extra in ([], ["--verify"]):
            shown = run("audit", "wf_1", "--db", str(path), *extra)
            assert (shown.exit_code, "does not verify" in shown.stdout) == (1, True)
    if column != "trace_run":  # which is not exported
        assert finds_fault(path)


def finds_fault(path: Path) -> bool:
    """Whether a check of an export refuses the file, or says what is wrong in it."""
    store = WorkflowStore(f"sqlite:///{path}")
    try:
        return bool(trail.read_export(store.export_audit("wf_1")).check())
    except InputError:
        return True
    finally:
        store.close()


@pytest.mark.parametrize("number", ["three", 1.5, -3, b"3", 2**62])
def test_a_number_that_is_none_is_told(number: Any, path: Path) -> None:
    write(path, ("UPDATE workflow_audit SET number = ? WHERE number = 3", (number,)))

    assert problems(path)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("erasure", "{}"),
        ("erasure", '{"numbers": "all"}'),
        ("erasure", '{"numbers": [{}]}'),
        ("erasure", "x"),
        ("erasure", "[1]"),
        ("transition", "[1]"),
        ("transition", "null"),
        ("transition", "[" * 100_000),
    ],
    ids=lambda text: text[:16],
)
def test_a_payload_of_another_shape_is_told_even_when_its_whole_chain_was_computed_anew(
    kind: str, text: str, path: Path
) -> None:
    rechain(path, lambda row: row | {"kind": kind, "payload": text} if row["number"] == 3 else row)

    assert len(problems(path)) == 1
    assert "record 3" in run("audit", "wf_1", "--db", str(path), "--verify").stdout


def test_a_trail_whose_instance_is_gone_is_checked_all_the_same(path: Path) -> None:
    write(path, ("DELETE FROM workflow_instances", ()))

    assert problems(path) == [SPOILED_ROW]
    assert run("audit", "wf_1", "--db", str(path), "--verify").exit_code == 1


@pytest.mark.parametrize("end", [("four", "x"), (None, None), (-1, b"\xff")])
def test_an_end_in_the_instances_row_that_is_none_is_told(end: tuple[Any, Any], path: Path) -> None:
    try:
        write(path, ("UPDATE workflow_instances SET audit_count = ?, audit_head = ?", end))
    except sqlite3.IntegrityError:
        return

    assert problems(path)


def rechain(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Do what somebody does who can write to the whole database: change records, and compute every hash anew."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.row_factory = sqlite3.Row
        previous = GENESIS
        for found in database.execute("SELECT * FROM workflow_audit ORDER BY number").fetchall():
            row = change(dict(found))
            row["payload_digest"], row["previous_hash"] = payload_digest(row["payload"]), previous
            previous = row["hash"] = chain_hash(row)
            names = [name for name in row if name != "number"]
            database.execute(
                f"UPDATE workflow_audit SET {', '.join(f'{name} = ?' for name in names)} WHERE number = ?",
                (*(row[name] for name in names), row["number"]),
            )
        database.execute("UPDATE workflow_instances SET audit_head = ?", (previous,))


def by_eve(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"principal_id": "eve", "payload": row["payload"].replace('"ada"', '"eve"')}


def key_pair(folder: Path, name: str = "audit") -> tuple[Path, Path]:
    """A private and a public key, as openssl writes them."""
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    none = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def cut_with_its_row(path: Path) -> None:
    write(
        path,
        ("DELETE FROM workflow_audit WHERE number > 2", ()),
        (
            "UPDATE workflow_instances SET audit_count = 2, audit_head = (SELECT hash FROM workflow_audit WHERE number = 2)",
            (),
        ),
    )


def delete_everything(path: Path) -> None:
    write(path, ("DELETE FROM workflow_audit", ()), ("DELETE FROM workflow_instances", ()))


@pytest.mark.parametrize("tampering", [lambda path: rechain(path, by_eve), cut_with_its_row, delete_everything])
def test_a_trail_that_was_written_anew_is_found_by_a_signed_head(
    tampering: Callable[[Path], None], path: Path, tmp_path: Path
) -> None:
    private, public = key_pair(tmp_path)
    signed = run("audit-heads", "--key", str(private), "--db", str(path))
    heads = tmp_path / "heads.jsonl"
    heads.write_text(signed.stdout)
    check = ("audit", "wf_1", "--db", str(path), "--verify", "--heads", str(heads), "--key", str(public))
    assert run(*check).exit_code == 0

    tampering(path)

    assert run(*check).exit_code == 1
    assert problems(
        path, heads=[SignedHead.from_json(json.loads(signed.stdout))], verifier=HeadVerifier(public.read_bytes())
    )


def test_a_trail_that_went_on_still_holds_its_older_heads(path: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    store = WorkflowStore(f"sqlite:///{path}")
    head = store.signed_head("wf_1", HeadSigner(private.read_bytes()))
    store.erase_audit("wf_1", by=Principal("ada"), reason="they asked")

    assert store.verify("wf_1", heads=[head], verifier=HeadVerifier(public.read_bytes())) == []
    key: Any = serialization.load_pem_public_key(public.read_bytes())
    assert head.key_id == hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16], "heads of earlier releases have it"
    store.close()


@pytest.mark.parametrize("field", ["number", "hash", "tenant", "signedAt", "workflowId", "signature", "keyId"])
def test_a_head_that_was_changed_is_not_believed(field: str, path: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    store = WorkflowStore(f"sqlite:///{path}")
    line = store.signed_head("wf_1", HeadSigner(private.read_bytes())).to_json()
    store.close()
    other = {"number": 2, "signedAt": 1, "signature": "AAAA"}.get(field, f"{line[field]}0")
    head = SignedHead.from_json({**line, field: other})

    assert HeadVerifier(public.read_bytes()).problem(head) is not None


def test_another_key_does_not_vouch(path: Path, tmp_path: Path) -> None:
    private, _ = key_pair(tmp_path)
    _, other = key_pair(tmp_path, "other")
    store = WorkflowStore(f"sqlite:///{path}")
    head = store.signed_head("wf_1", HeadSigner(private.read_bytes()))
    (broken,) = store.verify("wf_1", heads=[head], verifier=HeadVerifier(other.read_bytes()))
    store.close()

    assert "not one of those that were given" in broken.problem


def test_an_export_is_signed_and_neither_cut_nor_ended_anew_by_somebody_else(path: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    whole, forged = tmp_path / "whole.jsonl", tmp_path / "forged.jsonl"
    run("audit", "wf_1", "--db", str(path), "--export", str(whole), "--sign", str(private))
    lines = whole.read_text().splitlines()
    end = json.loads(lines[-1]) | {"number": 2, "hash": json.loads(lines[1])["hash"]}
    unsigned = {name: end[name] for name in ("auditHead", "workflowId", "number", "hash")}

    assert run("audit", "--check", str(whole), "--key", str(public)).exit_code == 0
    for last in (end, unsigned):
        forged.write_text("\n".join([*lines[:2], json.dumps(last)]))
        assert run("audit", "--check", str(forged), "--key", str(public)).exit_code == 1


def test_heads_leave_as_events_once_each_and_can_be_checked_by_them(path: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    for _ in range(2):
        assert run("audit-heads", "--key", str(private), "--db", str(path), "--emit", "--json").exit_code == 0
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (envelope,) = [row[0] for row in database.execute("SELECT envelope FROM workflow_outbox")]
    assert json.loads(envelope)["eventName"] == "interlock.audit.head.signed.v1"
    heads = tmp_path / "heads.jsonl"
    heads.write_text(envelope)
    rechain(path, by_eve)

    assert problems(path) == []
    checked = run("audit", "wf_1", "--db", str(path), "--verify", "--heads", str(heads), "--key", str(public))
    assert (checked.exit_code, "rewritten" in " ".join(checked.stdout.split())) == (1, True)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    other = x25519.X25519PrivateKey.generate().private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
    for wrong in (b"", b"no key", public.read_bytes(), other):
        with pytest.raises(InputError):
            HeadSigner(wrong)
    for wrong in (b"", private.read_bytes()):
        with pytest.raises(InputError):
            HeadVerifier(wrong)
    with pytest.raises(InputError):
        HeadVerifier()


def test_a_digest_is_of_the_text_as_it_is_stored() -> None:
    assert payload_digest("{}") == "sha256:" + hashlib.sha256(b"{}").hexdigest()
