"""Translates the options of a PostgreSQL URL: those of libpq, psycopg, asyncpg and others."""

from ...tools.errors import StoreError
from .options import Options, Query, number, one_of, ours, single, unknown

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OURS = {
    "autocommit": "when a transaction ends",
    "row_factory": "what a row is",
    "cursor_factory": "what a cursor is",
    "context": "how values are read",
    "replication": "what a connection takes",
}
_IN_OTHER_WORDS = {
    "pgbouncer": "Leave it out: a pooler in transaction mode is detected automatically; prepare_threshold=none declares it.",
    "connection_limit": "Leave it out: your own engine has the pool that you give it.",
    "schema": "Give the argument schema=… instead, or options=-csearch_path=….",
    "server_settings": "Write them as options=-c name=value.",
    "command_timeout": "Write it as options=-c statement_timeout=….",
}


def read(driver: str, query: Query) -> Options:
    """Translate the options.

    Args:
        driver: The driver in the URL; empty for psycopg.
        query: The options.
    """
    options = Options()
    for name, value in query.items():
        if name in {"host", "port"}:  # SQLAlchemy's syntax for several hosts
            options.query[name] = value
        elif name in _OURS:
            raise ours(name, _OURS[name])
        else:
            _one(options, driver, name, single(name, value))
    _check_by_libpq(options)
    return options


def _one(options: Options, driver: str, name: str, value: str) -> None:
    if name == "prepare_threshold":
        threshold = None if value.lower() in {"none", "null", ""} else number(name, value)
        options.arguments["prepare_threshold"] = threshold
    elif name == "client_encoding":
        if value.lower().replace("-", "").replace("_", "") not in {"utf8", "unicode"}:
            raise ours(name, "how text is written: always as UTF-8")
    elif driver == "asyncpg" and name == "ssl":
        words = {"true": "require", "false": "disable"}
        options.query["sslmode"] = one_of(name, words.get(value.lower(), value), _SSL_MODES)
    elif driver == "asyncpg" and name in {"prepared_statement_cache_size", "statement_cache_size"}:
        if number(name, value) == 0:  # asyncpg's setting for poolers
            options.arguments["prepare_threshold"] = None
    elif driver == "asyncpg" and name in {"timeout", "connect_timeout"}:
        options.query["connect_timeout"] = str(number(name, value.partition(".")[0]))
    elif name == "async_fallback":
        pass  # SQLAlchemy's own, for asynchronous drivers
    elif name == "connect_timeout":
        options.query[name] = str(number(name, value))
    else:
        options.query[name] = value


def _check_by_libpq(options: Options) -> None:
    try:
        from psycopg import conninfo  # noqa: PLC0415 -- an extra, and the error for a missing one comes where it is opened
        from psycopg.errors import Error  # noqa: PLC0415
    except ImportError:
        return
    for name, value in options.query.items():
        if name in {"host", "port"}:
            continue
        try:
            conninfo.make_conninfo(**{name: value})
        except Error:
            raise unknown(name, "psycopg", hint=_IN_OTHER_WORDS.get(name, "")) from None
    if (mode := options.query.get("sslmode")) is not None and mode not in _SSL_MODES:
        raise StoreError(f"The option 'sslmode' of the database URL is {mode!r}; it may be {', '.join(_SSL_MODES)}.")
