"""Translates the options of a SQLite URL: those of Python's driver, and with `uri=true` those of SQLite's URIs."""

from ...tools.errors import StoreError
from .options import Options, Query, boolean, ours, single, unknown

_DRIVERS = {"", "pysqlite", "aiosqlite"}
_OURS = {
    "isolation_level": "when a transaction begins",
    "autocommit": "when a transaction ends",
    "check_same_thread": "which thread uses a connection",
    "detect_types": "how values are read",
}
_OF_URIS = {"mode", "cache", "vfs", "immutable", "nolock", "psow", "modeof"}


def read(driver: str, query: Query) -> Options:
    """Translate the options.

    Args:
        driver: The driver in the URL; empty for Python's own.
        query: The options.
    """
    if driver not in _DRIVERS:
        raise StoreError(
            f"Interlock opens SQLite files with Python's own driver, and the URL names {driver!r}: a file that this one encrypts would not be "
            "encrypted. Leave the driver out; to encrypt what is stored, give the checkpointer an encrypting serializer."
        )
    options = Options()
    uri = "uri" in query and boolean("uri", single("uri", query["uri"]))
    for name, given in query.items():
        value = single(name, given)
        if name in _OURS:
            raise ours(name, _OURS[name])
        if name == "timeout":
            try:
                options.arguments[name] = float(value)
            except ValueError:
                raise StoreError(f"The option 'timeout' of the database URL is not a number: {value!r}.") from None
        elif name in {"uri", "cached_statements"}:
            options.query[name] = value
        elif name not in _OF_URIS:
            raise unknown(name, "sqlite3")
        elif not uri:
            raise StoreError(
                f"The option {name!r} of the database URL is an SQLite URI, which also needs `uri=true`: "
                f"sqlite:///file:shop.db?{name}={value}&uri=true."
            )
        else:
            options.query[name] = value
    if options.query.get("cache") == "shared" or options.query.get("mode") == "memory":
        raise StoreError(
            "The database URL asks for SQLite's shared cache, whose connections do not wait for each other but fail. Leave `cache` out; "
            "for a database in memory that all threads of this process share, give sqlite://."
        )
    return options
