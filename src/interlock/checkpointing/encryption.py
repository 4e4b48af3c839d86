"""Encryption of stored data: AES-256 in GCM, bound to the place of each row, with several keys.

Every row is encrypted for its place (thread, namespace, checkpoint, channel or message); moved to another row or modified, it is
refused. Each thread has its own key, derived from the given key, so that the number of rows per key stays far below the limit of
random nonces. It needs the extra `encryption`.
"""

import base64
import binascii
import functools
import hmac
import os
from collections.abc import Mapping
from typing import Any

from ..tools.errors import InputError, StoreError

ENVIRONMENT = "INTERLOCK_ENCRYPTION_KEYS"
"""Keys as `name=base64`, separated by blanks or commas; the first one encrypts."""
ALGORITHM = "aesgcm"
_KEY_BYTES, _NONCE_BYTES, _NAME_LENGTH = 32, 12, 32


class Encryption:
    """Encryption keys by name: the first one encrypts, and all of them decrypt.

    Args:
        keys: The keys, of 32 random bytes each, by names of at most 32 letters, digits, dots, dashes and underscores. To rotate keys, add
            the new one in front, run `interlock db reencrypt`, and then remove the old one.

    Raises:
        InputError: A key or a name cannot be used.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise InputError(
                "No encryption key was given. Give at least one: Encryption({'2026': secrets.token_bytes(32)})."
            )
        for name, key in keys.items():
            _check(name, key)
        self._keys = dict(keys)
        self.writes_with = next(iter(self._keys))
        self.kind = f"bytes+{ALGORITHM}:{self.writes_with}"
        """The type stored beside every row that is encrypted now."""
        self._cipher = functools.lru_cache(maxsize=4096)(self._derive)

    @classmethod
    def from_environment(cls, text: str | None = None) -> "Encryption | None":
        """The keys from the environment variable `INTERLOCK_ENCRYPTION_KEYS`, or from a text in its format; None if it is not set."""
        given = os.environ.get(ENVIRONMENT, "") if text is None else text
        keys: dict[str, bytes] = {}
        for part in given.replace(",", " ").split():
            name, _, encoded = part.partition("=")
            try:
                keys[name] = base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise InputError(
                    f"The encryption key {name!r} in {ENVIRONMENT} is not base64. Write name=base64, the key that writes first."
                ) from error
        return cls(keys) if keys else None

    def __repr__(self) -> str:
        return f"Encryption({', '.join(self._keys)})"

    def encrypt(self, data: bytes, place: bytes, owner: str) -> tuple[str, bytes]:
        """Encrypt data; returns the type and the bytes to store.

        Args:
            data: The plain bytes.
            place: The key of the row, without which it cannot be decrypted.
            owner: The thread or instance, which has its own key.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return self.kind, nonce + self._cipher(self.writes_with, owner).encrypt(nonce, data, place)

    def decrypt(self, kind: str, data: bytes, place: bytes, owner: str) -> bytes:
        """Decrypt data that was encrypted for this place.

        Raises:
            StoreError: It was encrypted with another key or for another place, or was changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- an extra

        name = kind.partition(":")[2]
        if name not in self._keys:
            raise StoreError(
                f"A stored value is encrypted with the key {name!r}, which this process does not have (it has "
                f"{', '.join(map(repr, self._keys))}). Nothing was loaded. Give the key as an older one until "
                "`interlock db reencrypt` has replaced it everywhere.",
                code="unknown_key",
                details={"key": name},
            )
        try:
            opened: bytes = self._cipher(name, owner).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise misplaced(owner) from error
        return opened

    def _derive(self, name: str, owner: str) -> Any:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise InputError(
                "Encryption needs the package cryptography. Nothing was read or written. "
                "Install it: pip install 'langgraph-interlock[encryption]'."
            ) from error
        purpose = b"interlock row key\0" + owner.encode("utf-8", "surrogatepass")
        return AESGCM(hmac.digest(self._keys[name], purpose, "sha256"))


def misplaced(owner: str) -> StoreError:
    """The error for a row that was moved or modified."""
    return StoreError(
        f"A stored value of {owner!r} is not what was encrypted for its place: it was moved there from another row, or changed, or "
        "written with another key of the same name. Nothing was loaded. Find out who writes to the database, and restore the row from "
        "a backup.",
        code="misplaced_value",
        details={"owner": owner},
    )


def _check(name: str, key: bytes) -> None:
    if not (0 < len(name) <= _NAME_LENGTH and name.isascii() and all(c.isalnum() or c in "._-" for c in name)):
        raise InputError(
            f"The name {name!r} of an encryption key cannot be used. Name it with at most {_NAME_LENGTH} letters, digits, dots, dashes and underscores: it "
            "is stored with every row."
        )
    if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
        raise InputError(
            f"The encryption key {name!r} has to be {_KEY_BYTES} random bytes. Make one with secrets.token_bytes({_KEY_BYTES})."
        )
