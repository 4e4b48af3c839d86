"""The signing secret of an instance, in its row: data that waits in a checkpoint is trusted only with a valid signature.

The secret must not leak: a seal has no text form, is never serialized, and is not compared by value.
"""

import hmac
import secrets
from typing import Any, NoReturn

from ...tools.canonical import json_writer

_write = json_writer(sort_keys=True, separators=(",", ":"), default=repr)
_LENGTH = 32
"""The length of a signature in hexadecimal digits: 128 bits."""


class Seal:
    """Signs plain data for one instance.

    Args:
        secret: The secret from the row.
    """

    __slots__ = ("__secret",)

    def __init__(self, secret: str) -> None:
        self.__secret = secret

    @classmethod
    def make(cls) -> "Seal":
        """Make the seal of a new instance."""
        return cls(secrets.token_hex(16))

    def mark(self, purpose: str, *parts: Any) -> str:
        """Sign data for one purpose."""
        return hmac.digest(self.__secret.encode(), _write([purpose, *parts]).encode(), "sha256").hex()[:_LENGTH]

    def fits(self, mark: object, purpose: str, *parts: Any) -> bool:
        """Whether a signature is valid for this data and purpose."""
        return isinstance(mark, str) and mark.isascii() and hmac.compare_digest(mark, self.mark(purpose, *parts))

    def column(self) -> str:
        """The secret for the row's column; only for the statement that writes the row."""
        return self.__secret

    def __repr__(self) -> str:
        return "Seal()"

    def __copy__(self) -> "Seal":
        return self

    def __deepcopy__(self, memo: object) -> "Seal":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("the seal of a workflow instance is not serialised: its secret stays in the database")


__all__ = ["Seal"]
