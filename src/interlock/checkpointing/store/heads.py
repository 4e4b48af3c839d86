"""Signed heads of audit trails, which detect a trail that was rewritten later.

Hashes chain the records, but anyone with write access to the whole database can recompute them all. A head is the number and the hash
of a trail's last record, signed with a key outside the database. It is the last line of an export, a separate line, or an event; a
copy elsewhere reveals a rewritten trail. Signing needs the extra `signing` (Ed25519 by `cryptography`).
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ...tools.canonical import JsonObject, canonical_json
from ...tools.errors import InputError
from ...tools.events import Event
from .audit import Broken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ENVIRONMENT = "INTERLOCK_AUDIT_KEY"
"""The environment variable with the path of the PEM file of the private key for signing heads."""


class AuditHeadSigned(Event, name="interlock.audit.head.signed", version=1):
    """The head of an instance's audit trail was signed; its envelope names the instance."""

    number: int
    hash: str
    tenant: str
    signed_at: int
    key_id: str
    signature: str


@dataclass(frozen=True)
class SignedHead:
    """The last record of a trail at a moment, with a signature."""

    workflow_id: str
    tenant: str
    number: int
    """The number of records in the trail."""
    hash: str
    """The hash of the last record."""
    signed_at: int
    """Microseconds since 1970 UTC, by the database's clock."""
    key_id: str
    """Identifies the key that signed it: the beginning of the public key's SHA-256."""
    signature: str = ""
    """Ed25519 over the canonical JSON of everything else, in base64."""

    def to_json(self) -> JsonObject:
        """One line of a file of heads, or the last line of an export."""
        return {**self._signed(), "signature": self.signature}

    def to_event(self) -> AuditHeadSigned:
        """The event that contains it."""
        return AuditHeadSigned(
            number=self.number,
            hash=self.hash,
            tenant=self.tenant,
            signed_at=self.signed_at,
            key_id=self.key_id,
            signature=self.signature,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Parse the result of `to_json`, or the event in its wire form.

        Raises:
            InputError: It is neither.
        """
        texts = {name: data.get(key) for name, key in _TEXTS.items()}
        numbers = {name: data.get(key) for name, key in _NUMBERS.items()}
        wrong = [_TEXTS[name] for name, value in texts.items() if not isinstance(value, str)]
        wrong += [_NUMBERS[name] for name, value in numbers.items() if type(value) is not int]
        if wrong:
            raise InputError(
                f"This is not a signed head of an audit trail: {', '.join(wrong)} is missing or wrong. Nothing was checked; give what "
                "`interlock audit-heads` wrote, or the event interlock.audit.head.signed.v1.",
                code="not_a_head",
            )
        return cls(**texts, **numbers)  # type: ignore[arg-type]  # looked at above

    def message(self) -> bytes:
        """The signed bytes."""
        return canonical_json(self._signed()).encode()

    def _signed(self) -> JsonObject:
        return {
            "auditHead": 1,
            "workflowId": self.workflow_id,
            "tenant": self.tenant,
            "number": self.number,
            "hash": self.hash,
            "signedAt": self.signed_at,
            "keyId": self.key_id,
        }


_TEXTS = {
    "workflow_id": "workflowId",
    "tenant": "tenant",
    "hash": "hash",
    "key_id": "keyId",
    "signature": "signature",
}
_NUMBERS = {"number": "number", "signed_at": "signedAt"}


class HeadSigner:
    """Signs heads.

    Args:
        pem: An Ed25519 private key in PEM, as `openssl genpkey -algorithm ed25519` writes it.

    Raises:
        InputError: It is not such a key, or the extra `signing` is not installed.
    """

    def __init__(self, pem: bytes) -> None:
        self._key: Ed25519PrivateKey = _loaded(pem, private=True)
        self.key_id = _key_id(self._key.public_key())

    def sign(self, *, workflow_id: str, tenant: str, number: int, last: str, at: int) -> SignedHead:
        """Sign the current head of a trail."""
        head = SignedHead(workflow_id, tenant, number, last, at, self.key_id)
        signature = base64.b64encode(self._key.sign(head.message())).decode()
        return SignedHead(workflow_id, tenant, number, last, at, self.key_id, signature)


class HeadVerifier:
    """Verifies that heads were signed by one of the given keys.

    Args:
        pems: Ed25519 public keys in PEM, as `openssl pkey -pubout` writes them.

    Raises:
        InputError: One of them is not such a key, none was given, or the extra `signing` is not installed.
    """

    def __init__(self, *pems: bytes) -> None:
        if not pems:
            raise InputError("No public key was given, so that nothing can be checked. Give the PEM of at least one.")
        keys: list[Ed25519PublicKey] = [_loaded(pem, private=False) for pem in pems]
        self._keys = {_key_id(key): key for key in keys}

    def problem(self, head: SignedHead) -> str | None:
        """Why a head is rejected; None if it is valid."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- an extra

        key = self._keys.get(head.key_id)
        if key is None:
            return f"the head of record {head.number} is signed with the key {head.key_id}, which is not one of those that were given"
        try:
            key.verify(base64.b64decode(head.signature, validate=True), head.message())
        except (InvalidSignature, ValueError):
            return f"the head of record {head.number} was changed after it was signed"
        return None


def compare(
    records: Iterable[Mapping[str, Any]], heads: Iterable[SignedHead], verifier: HeadVerifier, *, workflow_id: str
) -> list[Broken]:
    """Find the records that differ from what signed heads state.

    Args:
        records: The trail, as `trail.rows` and `trail.read_export` give it.
        heads: Signed heads; those of other instances are ignored.
        verifier: Verifies their signatures.
        workflow_id: The instance.
    """
    stands = {row["number"]: row["hash"] for row in records if isinstance(row["number"], int)}
    broken = []
    for head in heads:
        if head.workflow_id != workflow_id:
            continue
        problem = verifier.problem(head)
        if problem is None and stands.get(head.number) != head.hash:
            there = (
                "is gone" if head.number not in stands else "is not the one that was signed: the trail was rewritten"
            )
            problem = f"{there} (a head with the hash {head.hash} was signed)"
        if problem is not None:
            broken.append(Broken(head.number, problem))
    return broken


def _key_id(key: "Ed25519PublicKey") -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _loaded(pem: bytes, *, private: bool) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as error:
        raise InputError(
            "Signing heads of audit trails needs the package cryptography. Nothing was signed or checked; install "
            "langgraph-interlock[signing].",
            code="missing_extra",
        ) from error
    what = "private" if private else "public"
    try:
        key: Any = (
            serialization.load_pem_private_key(pem, password=None)
            if private
            else serialization.load_pem_public_key(pem)
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"This is no {what} key in PEM ({error}). Nothing was signed or checked.") from error
    kind = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    if not isinstance(key, kind):
        raise InputError(f"This is a {what} key of another kind; give one of Ed25519. Nothing was signed or checked.")
    return key


__all__ = ["KEY_ENVIRONMENT", "AuditHeadSigned", "HeadSigner", "HeadVerifier", "SignedHead", "compare"]
