"""Translates the options of a URL for MySQL or MariaDB: those of PyMySQL, of other drivers and of MySQL's programs."""

import ssl
from typing import Any

from ...tools.errors import StoreError
from .options import Options, Query, boolean, number, one_of, ours, single, unknown

_TEXT = (
    "unix_socket",
    "init_command",
    "read_default_file",
    "read_default_group",
    "bind_address",
    "program_name",
    "sql_mode",
)
_FILES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
_NUMBERS = {
    name: name for name in ("connect_timeout", "read_timeout", "write_timeout", "max_allowed_packet", "client_flag")
}
_NUMBERS["connection_timeout"] = "connect_timeout"  # of mysql-connector-python
_OURS = {
    "autocommit": "when a transaction ends",
    "cursorclass": "what a cursor is",
    "use_unicode": "how text is read",
    "conv": "how values are read",
    "local_infile": "what the server may ask for",
}
_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
# Switches of other drivers for PyMySQL's default behaviour.
_MEANINGLESS = {
    "use_pure",
    "binary_prefix",
    "auth_plugin",
    "allow_local_infile",
    "raise_on_warnings",
    "get_warnings",
    "pool_recycle",
}


def read(driver: str, query: Query) -> Options:  # noqa: ARG001 -- as for the others
    """Translate the options.

    Args:
        driver: The driver in the URL; empty for PyMySQL.
        query: The options.
    """
    options = Options()
    tls: dict[str, Any] = {}
    for name, given in query.items():
        value = single(name, given)
        if name in _OURS:
            raise ours(name, _OURS[name])
        if name in {"charset", "collation"}:
            _check_is_unicode(name, value)
            if name == "collation":
                options.arguments[name] = value
        elif name in _NUMBERS:
            options.arguments[_NUMBERS[name]] = number(name, value)
        elif name in _TEXT:
            options.arguments[name] = value
        elif (
            name == "ssl_mode"
            or name in _FILES
            or name in {"ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname", "ssl_disabled", "ssl"}
        ):
            tls[name] = value
        elif name not in _MEANINGLESS:
            raise unknown(name, "PyMySQL")
    _read_tls(options, tls)
    options.arguments["charset"] = "utf8mb4"
    options.is_plain = set(options.arguments) == {"charset"}
    return options


def _check_is_unicode(name: str, value: str) -> None:
    # MySQL's utf8 lacks characters such as emoji, so use utf8mb4.
    if not value.lower().startswith("utf8"):
        raise StoreError(
            f"The option {name!r} of the database URL is {value!r}, in which not every text can be written. Interlock always speaks "
            "utf8mb4 with the server, whatever the tables of others are in: leave the option out."
        )


def _read_tls(options: Options, tls: dict[str, str]) -> None:
    mode = one_of("ssl_mode", tls["ssl_mode"], _MODES) if "ssl_mode" in tls else None
    arguments = options.arguments
    if "ssl_disabled" in tls and boolean("ssl_disabled", tls["ssl_disabled"]):
        mode = mode or "DISABLED"
    if "ssl" in tls:  # of aiomysql and asyncmy
        mode = mode or ("REQUIRED" if boolean("ssl", tls["ssl"]) else "DISABLED")
    for name in ("ssl_verify_identity", "ssl_check_hostname"):
        if name in tls and boolean(name, tls[name]):
            mode = mode or "VERIFY_IDENTITY"
    if "ssl_verify_cert" in tls and boolean("ssl_verify_cert", tls["ssl_verify_cert"]):
        mode = mode or "VERIFY_CA"
    files = {name: tls[name] for name in _FILES if name in tls}
    if mode is None and files:
        mode = "VERIFY_CA" if "ssl_ca" in files else "REQUIRED"
    if mode == "DISABLED":
        arguments["ssl_disabled"] = True
    elif mode not in {None, "PREFERRED"}:
        options.demands_tls = True
        arguments["ssl"] = _context(mode or "", files)


def _context(mode: str, files: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca"))
        if "ssl_cert" in files:
            context.load_cert_chain(files["ssl_cert"], files.get("ssl_key"), files.get("ssl_key_password"))
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"The certificates that the database URL names cannot be read: {error}.") from error
    context.check_hostname = mode == "VERIFY_IDENTITY"
    context.verify_mode = ssl.CERT_NONE if mode == "REQUIRED" else ssl.CERT_REQUIRED
    return context
