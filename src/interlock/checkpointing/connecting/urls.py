"""Parses database URLs with every option that SQLAlchemy, libpq and the usual drivers accept, or refuses them.

A URL may name any of the usual drivers, because applications share it with other code. Interlock opens it with its own drivers
(psycopg, PyMySQL, sqlite3), and translates the options of others. An option without a translation is refused by name. Errors never
quote a URL that could not be parsed, because any part of it may belong to the password.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from ...tools.errors import StoreError
from . import mysql_options, postgresql_options, sqlite_options
from .engines import Address, Dialect, dialect_of

SYNC_DRIVERS = {
    Dialect.SQLITE: "sqlite+pysqlite",
    Dialect.POSTGRESQL: "postgresql+psycopg",
    Dialect.MYSQL: "mysql+pymysql",
}
_EXAMPLES = "sqlite:///shop.db, postgresql://user@host/db or mysql://user@host/db"
_OPTIONS: dict[Dialect, Callable[[str, Mapping[str, Any]], Any]] = {
    Dialect.SQLITE: sqlite_options.read,
    Dialect.POSTGRESQL: postgresql_options.read,
    Dialect.MYSQL: mysql_options.read,
}
# A scheme, an optional user and password, several hosts, and the rest.
_SEVERAL_HOSTS = re.compile(r"(?P<head>[\w+]+://(?:[^@]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>[/?].*)?", re.DOTALL)
_HOST = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?")


def read(target: str | URL) -> Address:
    """Parse a URL.

    Raises:
        StoreError: It is not a URL, names an unsupported database, or has an unknown part or option.
    """
    url, hosts = _parse(target)
    dialect = dialect_of(url.get_backend_name())
    if dialect is not Dialect.SQLITE and isinstance(target, str) and "@" in (url.database or ""):
        raise StoreError(
            "There is an @ behind the host of the database URL, so a part of the password was taken for the host. Write @ in it as %40, "
            "/ as %2F and : as %3A, or build the URL with sqlalchemy.URL.create(…), which needs no such care."
        )
    driver = url.drivername.partition("+")[2]
    if hosts and dialect is not Dialect.POSTGRESQL:
        raise StoreError(
            f"The database URL names several hosts, which only PostgreSQL's driver can try one after the other, not {dialect}'s. "
            "Name one host: that of a proxy, for instance."
        )
    if dialect is Dialect.SQLITE and url.host:
        raise StoreError(
            f"The SQLite URL names the host {url.host!r}, and SQLite has none: it would open a database in memory. Nothing was opened; the "
            "path of a file follows three slashes (sqlite:///shop.db), and an absolute one four."
        )
    options = _OPTIONS[dialect](driver, url.query)
    arguments = dict(options.arguments)
    if hosts:
        arguments["host"] = ",".join(host for host, _ in hosts)
        arguments["port"] = ",".join(port or "5432" for _, port in hosts)
    elif dialect is Dialect.POSTGRESQL and url.host and "%2f" in url.host.lower():
        # libpq's syntax for the folder of a Unix socket
        arguments["host"] = unquote(url.host)
        url = url.set(host=None)
    _refuse_nul(url)
    url = url.set(drivername=SYNC_DRIVERS[dialect], query=options.query)
    return Address(url, arguments, options.is_plain, options.demands_tls)


def _parse(target: str | URL) -> tuple[URL, list[tuple[str, str | None]]]:
    """The URL, and its hosts and ports if there are several."""
    hosts: list[tuple[str, str | None]] = []
    if isinstance(target, str) and (found := _SEVERAL_HOSTS.fullmatch(target)):
        for part in found["hosts"].split(","):
            host = _HOST.fullmatch(part)
            if host is None:
                raise StoreError(
                    "One of the hosts in the database URL cannot be read. Write them as host:port,host:port."
                )
            hosts.append((unquote(host["six"] or host["name"] or ""), host["port"]))
        target = found["head"] + (found["rest"] or "")
    given: object = target
    if not isinstance(given, str | URL):
        told = f"sqlite:///{given}" if isinstance(given, PurePath) else f"a text such as {_EXAMPLES}"
        raise StoreError(
            f"A database URL was expected, and a value of the type {type(given).__name__} was given. Nothing was opened; give {told}."
        )
    try:
        url = make_url(target)
    except sa.exc.ArgumentError:
        keywords = isinstance(target, str) and re.match(r"\s*(host|hostaddr|dbname|user|service|port)\s*=", target)
        hint = (
            " The keywords that libpq takes are written as a URL: postgresql://user@host/dbname?option=value."
            if keywords
            else ""
        )
        raise StoreError(f"That is not a database URL. Give one such as {_EXAMPLES}.{hint}") from None
    except ValueError:
        raise StoreError(
            "The port in the database URL is not a number. Where the password has a : / or @ in it, write those as %3A, %2F and %40."
        ) from None
    if url.drivername.partition("+")[0] == "postgres":
        raise StoreError(
            "Interlock does not know the database 'postgres': SQLAlchemy calls it postgresql. Write the URL as postgresql://… instead of "
            "postgres://…; everything after that may stay as it is."
        )
    return url, hosts


def _refuse_nul(url: URL) -> None:
    if any("\0" in (part or "") for part in (url.username, str(url.password or ""), url.host, url.database)):
        raise StoreError("There is a NUL character in the database URL, which no database takes. Take it out.")
