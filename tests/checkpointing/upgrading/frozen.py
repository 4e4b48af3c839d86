"""Freeze the tables: `python -m tests.checkpointing.upgrading.frozen`. Only until the first release; afterwards migrations are added.

It writes the first migration from the tables as the code has them, their DDL for each database, and the rows of a database with work under
way. After a release none of these change any more: a change of the tables is a new migration, and a new folder beside `v0_2_0`.
"""

from __future__ import annotations

import base64
import importlib
import json
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from interlock.checkpointing import tables
from interlock.checkpointing.tables.columns import metadata

for _module in pkgutil.iter_modules(tables.__path__):
    importlib.import_module(f"{tables.__name__}.{_module.name}")

RELEASE = Path(__file__).parent / "v0_2_0"
TARGET = Path(tables.__file__).parents[1] / "migrations/versions/v0001_first_release.py"
DIALECTS: dict[str, Any] = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect(), "mysql": mysql.dialect()}
HEAD = '''"""The tables of the first release: frozen, for a migration must not change with the code.

Written by `python -m tests.checkpointing.upgrading.frozen`.
"""

# ruff: noqa: E501

import sqlalchemy as sa

from interlock.checkpointing.migrations.creating import create
from interlock.checkpointing.tables.columns import blob, counter, ident, instant, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Packed, for it is written once and compared, not read.
# fmt: off
def upgrade() -> None:
    """Create everything."""
'''


def ddl(dialect: Any) -> str:
    """The statements that make the tables of the code on a database."""
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(sa.schema.CreateTable(table).compile(dialect=dialect)).strip())
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            statements.append(str(sa.schema.CreateIndex(index).compile(dialect=dialect)).strip())
    text = ";\n\n".join(statements) + ";\n"
    return "\n".join(line.rstrip() for line in text.replace("\t", "  ").splitlines()) + "\n"


def migration() -> str:
    """The first migration."""
    lines = []
    for table in metadata.sorted_tables:
        parts = [_column(column) for column in table.columns]
        for constraint in sorted(table.constraints, key=lambda one: str(one.name)):
            if isinstance(constraint, sa.UniqueConstraint):
                parts.append(f"sa.UniqueConstraint({', '.join(repr(column.name) for column in constraint.columns)})")
            elif not isinstance(constraint, sa.PrimaryKeyConstraint):
                raise NotImplementedError(f"{table.name}: {constraint!r} is not written yet")
        parts += sorted(map(_index, table.indexes))
        if table.dialect_options["sqlite"].get("autoincrement"):
            parts.append("sqlite_autoincrement=True")
        lines += ["    create(", *_packed([repr(table.name), *parts]), "    )"]
    return HEAD + "\n".join(lines) + "\n"


def formatted(code: str) -> str:
    """The code as the formatter leaves it."""
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"],
        input=code, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout


def _packed(parts: list[str]) -> list[str]:
    """The arguments, as many on a line as it takes."""
    lines = [" " * 7]
    for part in parts:
        if len(lines[-1]) + len(part) > 140:
            lines.append(" " * 7)
        lines[-1] += f" {part},"
    return lines


def _kind(column: sa.Column[Any]) -> str:
    found: Any = column.type
    if isinstance(found, sa.types.TypeDecorator):  # what is encrypted is stored as what it stands for
        found = found.impl_instance
    match type(found).__name__:
        case "LargeBinary":
            return "blob()"
        case "Text":
            return "text()"
        case "String":
            return f"ident({found.length})"
        case "BigInteger":
            if "sqlite" in found._variant_mapping:
                return "counter()"
            return "instant()" if column.name.endswith("_at") else "sa.BigInteger()"
        case "Integer" | "SmallInteger" | "Float" | "Double" | "Boolean" as name:
            return f"sa.{name}()"
    raise NotImplementedError(f"{column}: {found!r} is not written yet")


def _column(column: sa.Column[Any]) -> str:
    options = ["primary_key=True"] if column.primary_key else []
    if column.primary_key and isinstance(column.autoincrement, bool):
        options.append(f"autoincrement={column.autoincrement}")
    if not column.nullable and not column.primary_key:
        options.append("nullable=False")
    if column.comment:
        options.append(f"comment={column.comment!r}")
    default: Any = column.server_default
    if default is not None:
        options.append(f"server_default=sa.text({str(default.arg)!r})")
    return f"sa.Column({', '.join([repr(column.name), _kind(column), *options])})"


def _index(index: sa.Index) -> str:
    options = ["unique=True"] if index.unique else []
    for dialect in ("sqlite", "postgresql"):
        where = index.dialect_options[dialect].get("where")
        if where is not None:
            options.append(f"{dialect}_where=sa.text({str(where)!r})")
    parts = [repr(one.name) if isinstance(one, sa.Column) else f"sa.text({str(one)!r})" for one in index.expressions]
    return f"sa.Index({', '.join([repr(index.name), *parts, *options])})"


def rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of a database in which work is under way: an open approval, a wait and an effect of unknown outcome."""
    from tests.checkpointing.upgrading.under_way import leave_under_way

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/old.db"
        leave_under_way(url)
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            found = {
                table.name: [
                    {name: _plain(value) for name, value in row._mapping.items()}
                    for row in connection.exec_driver_sql(f'SELECT * FROM "{table.name}"')
                ]
                for table in metadata.sorted_tables
            }
        engine.dispose()
    return {name: kept for name, kept in found.items() if kept}


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def restore(url: str) -> None:
    """Make the database of the release, with its rows, out of the files alone: the code's own tables have no part in it."""
    read = sa.make_url(url)
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}.get(
        read.get_backend_name()
    )
    engine = sa.create_engine(read.set(drivername=driver) if driver else read)
    kept: dict[str, list[dict[str, Any]]] = json.loads((RELEASE / "rows.json").read_text("utf-8"))
    with engine.begin() as connection:
        for statement in (RELEASE / f"{engine.dialect.name}.sql").read_text("utf-8").split(";\n\n"):
            connection.exec_driver_sql(statement.strip().rstrip(";").replace("%", "%%"))
        connection.exec_driver_sql("CREATE TABLE workflow_schema (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO workflow_schema VALUES ('0001')")
        for name, found in kept.items():
            described = sa.Table(name, sa.MetaData(), autoload_with=connection)
            connection.execute(sa.insert(described), [{key: _value(one) for key, one in row.items()} for row in found])
            if engine.dialect.name == "postgresql":
                _count_on(connection, described)
    engine.dispose()


def _value(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL counts its keys apart from the rows."""
    for column in table.primary_key.columns:
        if "nextval" in str(getattr(column.server_default, "arg", "")):
            connection.execute(
                sa.text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), max({column.name})) FROM {table.name}"
                )
            )


def main() -> None:
    """Write all of it."""
    RELEASE.mkdir(exist_ok=True)
    TARGET.write_text(formatted(migration()), "utf-8")
    for name, dialect in DIALECTS.items():
        (RELEASE / f"{name}.sql").write_text(ddl(dialect), "utf-8")
    (RELEASE / "rows.json").write_text(json.dumps(rows(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(metadata.sorted_tables)} tables")


if __name__ == "__main__":
    main()
