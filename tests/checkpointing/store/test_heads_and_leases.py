"""Heads that leave as events, the conflicts of a unit, and how a machine and its processes are told apart."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from interlock import Principal
from interlock.checkpointing.store import approval_listing, leases, outbox
from interlock.checkpointing.store.audit import AuditKind
from interlock.checkpointing.store.heads import HeadSigner
from interlock.checkpointing.store.leases import Standing
from interlock.tools.errors import InputError, RevisionConflict
from tests.checkpointing.store.test_trail_and_seal import Kept

BOSS = Principal("boss")


@pytest.fixture
def kept() -> Any:
    made = Kept()
    yield made
    made.store.close()


def test_a_signed_head_leaves_once_and_a_newer_one_again(kept: Kept) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = HeadSigner(pem)

    def sent() -> list[Any]:
        with kept.store.read() as connection:
            return outbox.listing(connection)

    first = kept.store.emit_head(kept.id, signer)
    again = kept.store.emit_head(kept.id, signer)
    assert (first.number, again.number, len(sent())) == (4, 4, 1)
    (event,) = sent()
    assert (event.workflow_id, event.tenant, event.event_name) == (kept.id, "default", "interlock.audit.head.signed.v1")
    kept.graph.instances.execute(kept.id, "desk.note", {"text": "more"})
    assert kept.store.emit_head(kept.id, signer).number == 5
    assert len(sent()) == 2
    with pytest.raises(InputError):
        kept.store.emit_head("wf_nobody", signer)


def test_a_unit_that_comes_second_is_told_which_instance_moved(kept: Kept) -> None:
    with kept.store.write() as connection:
        first, second = kept.unit(connection), kept.unit(connection)
        first.move(state="open", data={}, finished=False)
        first.flush()
        second.record(AuditKind.READ, BOSS, {"said": "x"})
        second.move(state="closed", data={}, finished=True)
        with pytest.raises(RevisionConflict) as raised:
            second.flush()
    assert raised.value.details == {"workflowId": kept.id, "revision": 3}


@pytest.mark.parametrize("after", ["x", "1", "1.", ".apr", "a.b", ""])
def test_what_is_no_end_of_a_page_is_refused(kept: Kept, after: str) -> None:
    with pytest.raises(InputError, match="is not where a page ended"):
        kept.store.approvals(after=after)


@pytest.mark.parametrize("limit", [0, 1001, True, "5"])
def test_a_page_has_from_one_to_a_thousand(kept: Kept, limit: Any) -> None:
    with pytest.raises(InputError, match="holds from 1 to 1000 approvals"):
        kept.store.approvals(limit=limit)
    assert kept.store.approvals(limit=1).approvals == kept.store.approvals(limit=1000).approvals == ()
    with kept.store.read() as connection:
        assert approval_listing.count_pending(connection, kept.id) == 0


def test_machines_are_told_apart_by_what_they_booted_as(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(boot: str) -> str:
        monkeypatch.setattr(pathlib.Path, "read_text", lambda *_: boot)
        return leases._machine.__wrapped__()

    one, two = machine("boot-1\n"), machine("boot-2\n")
    assert one != two
    assert one == machine("boot-1")
    assert len(one) == 16


def test_an_owner_is_there_while_its_attempt_is_and_gone_after_it() -> None:
    with leases.held() as owner:
        assert leases.standing(owner) is Standing.RUNNING
        with leases.holding(owner):
            pass
        assert leases.standing(owner) is Standing.RUNNING, "the outer block still runs"
        machine, pid, started, attempt = owner.split(".")
        assert leases.standing(f"{machine}.{pid}.{started}.other") is Standing.GONE
        assert leases.standing(f"{machine}.{pid}.1.{attempt}") is Standing.GONE, "another process of this number"
        assert leases.standing(f"{machine}.4194999.1.{attempt}") is Standing.GONE
        assert leases.standing(f"elsewhere.{pid}.{started}.{attempt}") is Standing.ELSEWHERE
        assert leases.standing(f"-.{pid}.{started}.{attempt}") is Standing.ELSEWHERE
    assert leases.standing(owner) is Standing.GONE
    assert leases.standing(None) is Standing.GONE
