"""The serializer that a checkpointer was given, seen from two sides: what it makes of a value, and how it seals bytes.

LangGraph's own serializer makes msgpack, in which messages can be found and cut out. An encrypting one around it is the same
with a seal: everything that is stored passes its cipher. Of any other serializer nothing is known but its interface.
"""

from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ...tools.errors import StoreError


class Sealing:
    """One serializer.

    Attributes:
        inner: What turns values into typed bytes.
        msgpack: Whether those bytes are LangGraph's msgpack, so that messages can be found in them.
    """

    __slots__ = ("_encrypted_only", "_plain", "inner", "msgpack", "serde")

    def __init__(self, serde: SerializerProtocol, *, encrypted_only: bool = False) -> None:
        self.serde = serde
        self.inner = serde
        self._encrypted_only = encrypted_only
        if isinstance(serde, EncryptedSerializer):
            self.inner = serde.serde
        self.msgpack = type(self.inner) is JsonPlusSerializer
        self._plain = type(serde) is JsonPlusSerializer

    def seal(self, data: bytes) -> tuple[str, bytes]:
        """Bytes as they may be stored, and their type, to be stored verbatim."""
        if self._plain:
            return "bytes", data
        return self.serde.dumps_typed(data)

    def unseal(self, kind: str, data: bytes) -> bytes:
        """The bytes that were sealed.

        Raises:
            StoreError: They cannot be read with this serializer, or are not encrypted although they must be.
        """
        if self._encrypted_only and "+" not in kind:
            raise StoreError(
                f"A stored value is not encrypted (its type is {kind!r}), and this checkpointer was told to accept only encrypted "
                "ones. Nothing was loaded. If the value was written before encryption was turned on, open the database once "
                "with encrypted_only=False.",
                code="not_encrypted",
            )
        if kind == "bytes":
            return bytes(data)
        try:
            opened = self.serde.loads_typed((kind, bytes(data)))
        except Exception as error:
            raise unreadable(kind, error) from error
        if not isinstance(opened, bytes):
            raise unreadable(kind, TypeError(f"it holds {type(opened).__name__} instead of bytes"))
        return opened

    def loads(self, kind: str, data: bytes) -> Any:
        """A value from the inner serializer's typed bytes."""
        try:
            return self.inner.loads_typed((kind, data))
        except Exception as error:
            raise unreadable(kind, error) from error


def unreadable(kind: str, error: BaseException) -> StoreError:
    """The error for stored bytes that the serializer does not understand."""
    return StoreError(
        f"A stored value of type {kind!r} cannot be read: {type(error).__name__}: {error}. Was it written with another "
        "serializer or key, or damaged? Nothing was changed; open the database with the serializer that wrote it, "
        "or restore it from a backup.",
        code="unreadable_value",
    )
