"""Columns of the workflow's tables that are encrypted: what tools were called with and answered, data, previews, payloads, events.

Which columns those are stands with the tables. Whether they are encrypted is a matter of the database: the keys of a checkpointer or a
workflow store are known by the dialect of its engine, which every statement runs with. What is queried (ids, states, counts, times,
hashes) is never encrypted. Each text is bound to its column and to its row.
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
"""Begins every encrypted text: no JSON begins so."""


class Placed(str):
    """A text that knows its row: the first part is the instance's id, or whatever else has its own key."""

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
        """The text as it is stored in a column."""
        place = getattr(text, "place", ())
        where = ormsgpack.packb([column, *place])
        owner = str(place[0]) if place else column
        _, data = self.encryption.encrypt(text.encode("utf-8", "surrogatepass"), where, owner)
        parts = (ormsgpack.packb(list(place)), data)
        return f"{MARK}{self.encryption.writes_with}:" + ":".join(base64.b64encode(part).decode() for part in parts)

    def open(self, text: str, column: str) -> str:
        """The reverse.

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
    """From now on the protected columns are encrypted on the engines of this dialect object."""
    _vaults[dialect] = vault


def vault_of(dialect: Dialect) -> Vault | None:
    """What encrypts on these engines, if anything does."""
    return _vaults.get(dialect)


class Protected(TypeDecorator[str]):
    """The type of a column that is encrypted where there are keys.

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
        """What it is compared with is plain."""
        return sa.Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Encrypt what is written."""
        vault = vault_of(dialect)
        return value if value is None or vault is None else vault.seal(value, self.column)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Decrypt what was read."""
        vault = vault_of(dialect)
        return value if value is None or vault is None else vault.open(value, self.column)


def placed(table: sa.Table, values: dict[str, Any], row: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The same values, with the protected ones bound to their row.

    Args:
        table: Its protected columns, and in `info` the columns that name a row.
        values: Some of its columns.
        row: What names the row, where that is not among the values.
    """
    named = values if row is None else row
    place = [named[name] for name in table.info["place"]]
    for name in table.info["protected"]:
        if (text := values.get(name)) is not None:
            values[name] = Placed(text, place)
    return values


def check_place(table: sa.Table, values: Mapping[str, Any]) -> None:
    """See that what was decrypted was written for this row.

    Raises:
        StoreError: It was moved here from another.
    """
    for name in table.info["protected"]:
        place = getattr(values[name], "place", None)
        if place and place != tuple(values[at] for at in table.info["place"]):
            raise misplaced(str(values[table.info["place"][0]]))
