"""What an instance signs with: a secret that is in its row, so that what waits in a checkpoint is believed only if it was made here.

The secret is used where the row was read, and goes nowhere else: a seal has no text, is never serialised, and is not compared by value.
"""

import hmac
import secrets
from typing import Any, NoReturn

from ...tools.canonical import json_writer

_write = json_writer(sort_keys=True, separators=(",", ":"), default=repr)
_LENGTH = 32
"""Of a signature in hexadecimal digits: 128 bits, which nobody guesses, in every proposal that waits."""


class Seal:
    """Signs plain data for one instance.

    Args:
        secret: As the row has it.
    """

    __slots__ = ("__secret",)

    def __init__(self, secret: str) -> None:
        self.__secret = secret

    @classmethod
    def make(cls) -> "Seal":
        """The seal of a new instance."""
        return cls(secrets.token_hex(16))

    def mark(self, purpose: str, *parts: Any) -> str:
        """The signature of some data, for one purpose."""
        return hmac.digest(self.__secret.encode(), _write([purpose, *parts]).encode(), "sha256").hex()[:_LENGTH]

    def fits(self, mark: object, purpose: str, *parts: Any) -> bool:
        """Whether a signature is the one of this data, for this purpose."""
        return isinstance(mark, str) and mark.isascii() and hmac.compare_digest(mark, self.mark(purpose, *parts))

    def column(self) -> str:
        """The secret as the row has it: for the statement that writes the row, and nothing else."""
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
