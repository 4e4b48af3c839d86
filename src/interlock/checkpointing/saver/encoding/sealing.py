"""A checkpointer's serializer in its two functions: serializing values, and sealing (encrypting) bytes.

The serializers of LangGraph and Interlock write msgpack, from which messages can be cut out. An encrypting serializer around one of
them adds a seal: its cipher processes all stored bytes. Any other serializer is opaque: it gets every value, and the bytes of the
surrounding rows.

Sealed bytes name their place, and are refused in another place.
"""

from hashlib import blake2b
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ....tools.errors import InputError, InterlockError, StoreError
from ....tools.storable import described
from ...encryption import Encryption, misplaced
from ...serializing import TypedSerializer

Place = tuple[Any, ...]
"""The place of bytes: the kind of row, the thread, and the row's key within it."""
_BOUND = b"\xc1\x01"
"""The prefix of bytes that a serializer sealed for a place: a byte that never occurs in msgpack, and a version. The place's digest follows."""
_DIGEST = 16
KIND_LENGTH = 60
"""The maximum length of the type of sealed bytes."""
_PROBE = bytes(range(256))


class Sealing:
    """One serializer.

    Args:
        serde: The serializer.
        encryption: Encrypts stored bytes, in addition to the serializer.
        encrypted_only: Refuse bytes that are not encrypted, or not bound to their place.

    Attributes:
        inner: The serializer from values to typed bytes.
        opaque: Whether the format of those bytes is unknown. Otherwise they are msgpack, from which messages can be cut.
    """

    __slots__ = ("_encrypted_only", "_encryption", "_kind", "inner", "opaque", "plain", "reads_plain", "serde")

    def __init__(
        self, serde: SerializerProtocol, *, encryption: Encryption | None = None, encrypted_only: bool = False
    ) -> None:
        self.serde = serde
        self.inner = serde
        self._encryption = encryption
        self._encrypted_only = encrypted_only
        if isinstance(serde, EncryptedSerializer):
            self.inner = serde.serde
        self.opaque = type(self.inner) not in (JsonPlusSerializer, TypedSerializer)
        self._kind: str | None = None
        self.plain = encryption is None and type(serde) in (JsonPlusSerializer, TypedSerializer)
        """Whether bytes are stored unsealed, so that they can be copied between places."""
        self.reads_plain = self.plain and not encrypted_only
        """Whether unsealed bytes may be read."""

    def check(self) -> None:
        """Check that the serializer is usable.

        Raises:
            InputError: It is not.
        """
        if self._encryption is not None and isinstance(self.serde, EncryptedSerializer):
            raise InputError(
                "Two encryptions were given: an EncryptedSerializer, and encryption=. Nothing was opened. Give one of them; "
                "only encryption= has several keys."
            )
        if type(self.serde) in (JsonPlusSerializer, TypedSerializer):
            return
        try:
            kind, data = self.serde.dumps_typed(_PROBE)
            again = self.serde.loads_typed((kind, data))
        except Exception as error:
            raise _unusable(self.serde, f"with bytes it raised {described(error)}") from error
        if not isinstance(kind, str) or not isinstance(data, (bytes, bytearray)):
            raise _unusable(
                self.serde, f"dumps_typed gave {type(kind).__name__} and {type(data).__name__}, not text and bytes"
            )
        if again != _PROBE or not isinstance(again, bytes):
            raise _unusable(self.serde, f"bytes came back as {type(again).__name__}")
        if len(kind) > KIND_LENGTH or not kind.isprintable() or "|" in kind:
            raise _unusable(self.serde, f"its type {kind!r} is longer than {KIND_LENGTH}, or is not plain text")

    @property
    def kind(self) -> str:
        """The type of newly sealed bytes."""
        if self._kind is None:
            plain = "bytes" if self.plain else self.serde.dumps_typed(b"")[0]
            self._kind = self._encryption.kind if self._encryption is not None else plain
        return self._kind

    def seal(self, data: bytes, place: Place) -> tuple[str, bytes]:
        """Seal bytes for a place; returns the type and the bytes, to be stored verbatim."""
        if self.plain:
            return "bytes", data
        if self._encryption is not None:
            return self._encryption.encrypt(data, _packed(place), str(place[1]))
        return self.serde.dumps_typed(_BOUND + _digest(place) + data)

    def unseal(self, kind: str, data: bytes, place: Place) -> bytes:
        """Unseal bytes of a place.

        Raises:
            StoreError: They cannot be read with this serializer, were sealed for another place, or are not encrypted although
                they must be.
        """
        if self._encrypted_only and "+" not in kind:
            raise StoreError(
                f"A stored value is not encrypted (its type is {kind!r}), and this checkpointer was told to accept only encrypted "
                "ones. Nothing was loaded. If the value was written before encryption was turned on, encrypt what there is: "
                "interlock db reencrypt.",
                code="not_encrypted",
            )
        if kind == "bytes" and (self.plain or self.kind != "bytes"):
            return bytes(data)
        if kind.startswith("bytes+aesgcm:"):
            if self._encryption is None:
                raise StoreError(
                    f"A stored value is encrypted ({kind!r}), and this checkpointer has no key. Nothing was loaded. "
                    "Give the key: SQLCheckpointer(…, encryption=Encryption(…)).",
                    code="unknown_key",
                )
            return self._encryption.decrypt(kind, bytes(data), _packed(place), str(place[1]))
        try:
            opened = self.serde.loads_typed((kind, bytes(data)))
        except InterlockError:
            raise
        except Exception as error:
            raise unreadable(kind, error) from error
        if not isinstance(opened, bytes):
            raise unreadable(kind, TypeError(f"it holds {type(opened).__name__} instead of bytes"))
        if self._is_bound(opened):
            if opened[len(_BOUND) : len(_BOUND) + _DIGEST] != _digest(place):
                raise misplaced(str(place[1]))
            return opened[len(_BOUND) + _DIGEST :]
        if self._encrypted_only:
            raise StoreError(
                "A stored value is encrypted, but not for its place: it could have been moved there from another row. Nothing was "
                "loaded. If it was written by an earlier release, bind what there is: interlock db reencrypt.",
                code="not_bound",
            )
        return opened

    @staticmethod
    def _is_bound(data: bytes) -> bool:
        return data[: len(_BOUND)] == _BOUND

    def is_bound(self, kind: str, data: bytes) -> bool:
        """Whether bytes are sealed for a place in the current format."""
        if self._encryption is not None or self.plain:
            return kind == self.kind
        try:
            return kind == self.kind and self._is_bound(self.serde.loads_typed((kind, bytes(data))))
        except Exception as error:
            raise unreadable(kind, error) from error

    def loads(self, kind: str, data: bytes) -> Any:
        """Parse typed bytes of the inner serializer."""
        try:
            return self.inner.loads_typed((kind, data))
        except InterlockError:
            raise
        except Exception as error:
            raise unreadable(kind, error) from error


class Sealings:
    """Caches the sealings of a checkpointer's recent serializers."""

    MOST = 64

    def __init__(self, encryption: Encryption | None, *, encrypted_only: bool) -> None:
        self._encryption = encryption
        self._encrypted_only = encrypted_only
        self._known: dict[int, Sealing] = {}
        self._last: Sealing | None = None
        """The sealing of the last serializer, because a checkpointer is asked with one serializer for a long time."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, serde: SerializerProtocol) -> Sealing:
        """The sealing of a serializer."""
        last = self._last
        if last is not None and last.serde is serde:
            return last
        sealing = self._known.get(id(serde))
        if sealing is None or sealing.serde is not serde:
            if len(self._known) >= self.MOST:
                self._known.clear()  # LangGraph makes a serializer for each graph compiled in strict mode
            made = Sealing(serde, encryption=self._encryption, encrypted_only=self._encrypted_only)
            sealing = self._known[id(serde)] = made
        self._last = sealing
        return sealing


def message_place(thread_id: str, position: int) -> Place:
    """The place of a message."""
    return "message", thread_id, position


def checkpoint_place(thread_id: str, namespace_key: str, checkpoint_id: str) -> Place:
    """The place of a checkpoint's body."""
    return "checkpoint", thread_id, namespace_key, checkpoint_id


def value_place(thread_id: str, namespace_key: str, value_id: int) -> Place:
    """The place of a large value, whose id derives from its channel and version."""
    return "value", thread_id, namespace_key, value_id


def writes_place(thread_id: str, namespace_key: str, checkpoint_id: str, task_id: str, part: int) -> Place:
    """The place of pending writes; their channels are inside the bytes."""
    return "writes", thread_id, namespace_key, checkpoint_id, task_id, part


def _packed(place: Place) -> bytes:
    return ormsgpack.packb(place)


def _digest(place: Place) -> bytes:
    return blake2b(_packed(place), digest_size=_DIGEST).digest()


def _unusable(serde: SerializerProtocol, why: str) -> InputError:
    return InputError(
        f"The serializer {type(serde).__name__} cannot be used: {why}. Nothing was opened. It gets every value, and bytes besides; let "
        "dumps_typed take bytes, and loads_typed give the same bytes back.",
        code="unusable_serializer",
    )


def unreadable(kind: str, error: BaseException) -> StoreError:
    """The error for stored bytes that the serializer cannot parse."""
    return StoreError(
        f"A stored value of type {kind!r} cannot be read: {described(error)}. Was it written with another "
        "serializer or key, or damaged? Nothing was changed; open the database with the serializer that wrote it, "
        "or restore it from a backup.",
        code="unreadable_value",
    )
