"""Encrypts columns of the workflow's tables: arguments and outputs of tools, data, previews, payloads, events.

The tables declare which columns are protected. The keys belong to the database: the dialect object of its engine, with which every
statement runs, holds the keys of a checkpointer or workflow store. Queried columns (ids, states, counts, times, hashes) are never
encrypted. Each text is bound to its column and row.
"""

import base64
import binascii
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import ormsgpack
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..tools.errors import StoreError
from .encryption import ALGORITHM, Encryption, misplaced

MARK = f"{ALGORITHM}:"
"""The prefix of every encrypted text; no JSON starts with it."""


class Placed(str):
    """A text with the key of its row, whose first part is the instance's id, or another owner of a separate key."""

    place: tuple[Any, ...]

    def __new__(cls, text: str, place: Iterable[Any]) -> "Placed":
        """A text and its place."""
        made = super().__new__(cls, text)
        made.place = tuple(place)
        return made


class Vault:
    """Encrypts and decrypts the texts of one database.

    Args:
        encryption: The keys.
        encrypted_only: Refuse what is not encrypted.
    """

    def __init__(self, encryption: Encryption, *, encrypted_only: bool = False) -> None:
        self.encryption = encryption
        self._only = encrypted_only

    def seal(self, text: str, column: str) -> str:
        """Encrypt a text for its column."""
        place = getattr(text, "place", ())
        where = ormsgpack.packb([column, *place])
        owner = str(place[0]) if place else column
        _, data = self.encryption.encrypt(text.encode("utf-8", "surrogatepass"), where, owner)
        parts = (ormsgpack.packb(list(place)), data)
        return f"{MARK}{self.encryption.writes_with}:" + ":".join(base64.b64encode(part).decode() for part in parts)

    def open(self, text: str, column: str) -> str:
        """Decrypt a stored text.

        Raises:
            StoreError: It is encrypted with a key that is not here, or for another column, or was changed, or is not encrypted
                although it must be.
        """
        if not text.startswith(MARK):
            if self._only:
                raise StoreError(
                    f"A text in {column} is not encrypted, and this store was told to accept only encrypted ones. Nothing was loaded. "
                    "If it was written before encryption was turned on, encrypt what there is: interlock db reencrypt.",
                    code="not_encrypted",
                )
            return text
        try:
            _, name, place, data = text.split(":")
            where = ormsgpack.unpackb(base64.b64decode(place, validate=True))
            sealed = base64.b64decode(data, validate=True)
        except (ValueError, binascii.Error) as error:
            raise misplaced(column) from error
        owner = str(where[0]) if where else column
        kind = f"bytes+{ALGORITHM}:{name}"
        opened = self.encryption.decrypt(kind, sealed, ormsgpack.packb([column, *where]), owner)
        return Placed(opened.decode("utf-8", "surrogatepass"), where)

    def is_current(self, text: str) -> bool:
        """Whether a stored text is encrypted with the newest key."""
        return text.startswith(f"{MARK}{self.encryption.writes_with}:")


_vaults: "weakref.WeakKeyDictionary[Dialect, Vault]" = weakref.WeakKeyDictionary()


def protect(dialect: Dialect, vault: Vault) -> None:
    """Encrypt the protected columns on the engines of this dialect object from now on."""
    _vaults[dialect] = vault


def vault_of(dialect: Dialect) -> Vault | None:
    """The vault of these engines, if there is one."""
    return _vaults.get(dialect)


class Protected(TypeDecorator[str]):
    """The type of a column that is encrypted if there are keys.

    Args:
        column: The table and the column.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text of any length."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"))
        return dialect.type_descriptor(sa.Text())

    def coerce_compared_value(self, op: Any, value: Any) -> Any:  # noqa: ARG002 -- SQLAlchemy's signature
        """Values that it is compared with are plain."""
        return sa.Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Encrypt a written value."""
        vault = vault_of(dialect)
        return value if value is None or vault is None else vault.seal(value, self.column)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Decrypt a read value."""
        vault = vault_of(dialect)
        return value if value is None or vault is None else vault.open(value, self.column)


def placed(table: sa.Table, values: dict[str, Any], row: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Bind the protected values to their row.

    Args:
        table: The table, whose `info` lists its protected columns and the key columns of a row.
        values: Values of some of its columns.
        row: The key of the row, if it is not among the values.
    """
    named = values if row is None else row
    place = [named[name] for name in table.info["place"]]
    for name in table.info["protected"]:
        if (text := values.get(name)) is not None:
            values[name] = Placed(text, place)
    return values


def check_place(table: sa.Table, values: Mapping[str, Any]) -> None:
    """Check that a decrypted value was written for this row.

    Raises:
        StoreError: It was moved here from another row.
    """
    for name in table.info["protected"]:
        place = getattr(values[name], "place", None)
        if place and place != tuple(values[at] for at in table.info["place"]):
            raise misplaced(str(values[table.info["place"][0]]))
