"""`interlock doctor`: checks the environment of a workflow, and says what to fix."""

import contextlib
import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from ..checkpointing import Capacity, schema
from ..checkpointing.connecting.capacity import server_limit
from ..tools.errors import InterlockError
from ..tools.storable import described
from .support.loading import DbOption, open_store
from .support.output import AsJson, ExitCode, console, print_json

_SECONDS = 5.0
_PORTS = {"amqp": 5672, "amqps": 5671, "nats": 4222, "redis": 6379, "rediss": 6379, "kafka": 9092}
_TRUE = {"true", "1", "yes", "on"}


class Health(StrEnum):
    """How something is."""

    GOOD = "good"
    OFF = "off"
    """Not set up; nothing is wrong unless you wanted it."""
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing."""

    what: str
    health: Health
    told: str
    mend: str | None = None
    """What to do about it."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    db: DbOption = None,
    bus: Annotated[
        str | None,
        typer.Option("--bus", envvar="INTERLOCK_BUS", metavar="URL", help="The broker for events."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the environment, LangSmith, OpenTelemetry, the database and its connections, and the broker. Report what to
    fix. Exit code 1 means that there is something to fix.
    """
    findings = [finding for check in (_tracing, _opentelemetry) for finding in check()]
    findings += [*_database(db), *_broker(bus)]
    if as_json:
        for finding in findings:
            print_json(
                {"what": finding.what, "health": finding.health.value, "told": finding.told, "fix": finding.mend}
            )
    else:
        _print(findings)
    if any(finding.health is Health.BAD for finding in findings):
        raise typer.Exit(ExitCode.NO)


def _print(findings: list[Finding]) -> None:
    marks = {Health.GOOD: ("✓", "green"), Health.OFF: ("·", "dim"), Health.BAD: ("✗", "bold red")}
    for finding in findings:
        mark, style = marks[finding.health]
        console().print(Text.assemble((f"{mark} {finding.what}: ", style), finding.told), soft_wrap=True)
        if finding.mend is not None:
            console().print(Text(f"  → {finding.mend}"), soft_wrap=True)


def _setting(name: str) -> str | None:
    return os.environ.get(f"LANGSMITH_{name}") or os.environ.get(f"LANGCHAIN_{name}")


def _tracing() -> Iterator[Finding]:
    switch = os.environ.get("LANGSMITH_TRACING") or os.environ.get("LANGCHAIN_TRACING_V2") or ""
    if switch.lower() != "true":
        mend = (
            "Set LANGSMITH_TRACING=true."
            if switch.lower() not in _TRUE
            else "LANGSMITH_TRACING is read as on only when it is `true`."
        )
        if switch and switch.lower() in _TRUE:
            yield Finding(
                "LangSmith tracing", Health.BAD, f"LANGSMITH_TRACING is {switch!r}, which counts as off", mend
            )
        else:
            yield Finding("LangSmith tracing", Health.OFF, "off; workflows run without it", mend)
        return
    endpoint = _setting("ENDPOINT") or "https://api.smith.langchain.com"
    project = _setting("PROJECT") or "default"
    yield Finding("LangSmith tracing", Health.GOOD, f"on, to the project {project!r} at {endpoint}")
    yield _key(endpoint)
    yield from _sampling()
    yield _endpoint(endpoint)
    if os.environ.get("INTERLOCK_TRACE_CONVERSATION", "true").lower() in {"false", "0", "no"}:
        yield Finding("conversation in traces", Health.GOOD, "kept out")


def _key(endpoint: str) -> Finding:
    key = _setting("API_KEY")
    if key:
        return Finding("LangSmith key", Health.GOOD, f"set ({len(key)} characters)")
    return Finding(
        "LangSmith key", Health.BAD, f"there is none for {endpoint}",
        "Set LANGSMITH_API_KEY; a sink on this machine takes any.",
    )  # fmt: skip


def _sampling() -> Iterator[Finding]:
    rate = _setting("TRACING_SAMPLING_RATE")
    if rate is None:
        return
    try:
        value = float(rate)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        yield Finding(
            "sampling", Health.BAD, f"LANGSMITH_TRACING_SAMPLING_RATE is {rate!r}", "Give a number from 0 to 1."
        )
    elif value < 1:
        yield Finding(
            "sampling", Health.GOOD,
            f"{value:.0%} of traces are kept; audit records of the others name runs that never arrived, and their feedback is dropped",
        )  # fmt: skip


def _endpoint(endpoint: str) -> Finding:
    import httpx  # noqa: PLC0415 -- comes with langsmith, and only this command asks for itself

    try:
        answer = httpx.get(
            f"{endpoint.rstrip('/')}/info", timeout=_SECONDS, headers={"x-api-key": _setting("API_KEY") or ""}
        )
    except httpx.HTTPError as error:
        return Finding(
            "LangSmith endpoint", Health.BAD, f"{endpoint} does not answer ({type(error).__name__})",
            "Check LANGSMITH_ENDPOINT and the network. Workflows run on; their traces are lost meanwhile.",
        )  # fmt: skip
    if answer.status_code in {401, 403}:
        return Finding(
            "LangSmith endpoint", Health.BAD, f"{endpoint} refuses the key ({answer.status_code})",
            "Check LANGSMITH_API_KEY, and that it belongs to this endpoint.",
        )  # fmt: skip
    if not answer.is_success:
        return Finding(
            "LangSmith endpoint", Health.BAD, f"{endpoint} answers with {answer.status_code}",
            "Check that LANGSMITH_ENDPOINT is LangSmith's API and not its web pages.",
        )  # fmt: skip
    return Finding("LangSmith endpoint", Health.GOOD, f"{endpoint} answers")


def _opentelemetry() -> Iterator[Finding]:
    if importlib.util.find_spec("opentelemetry") is None:
        yield Finding(
            "OpenTelemetry",
            Health.OFF,
            "not installed",
            "Install langgraph-interlock[otel] if you want spans and metrics.",
        )
        return
    has_sdk = _has_sdk()
    yield Finding(
        "OpenTelemetry",
        Health.GOOD if has_sdk else Health.OFF,
        "API and SDK are installed; it is on where your program sets a provider"
        if has_sdk
        else "only the API is installed",
        None if has_sdk else "Install opentelemetry-sdk and an exporter, and set a provider in your program.",
    )


def _has_sdk() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.sdk") is not None
    except ModuleNotFoundError:
        return False


def _database(db: str | None) -> Iterator[Finding]:
    if not db:
        yield Finding("database", Health.OFF, "none was named", "Pass --db, or set INTERLOCK_DB.")
        return
    yield _finding("database", lambda: _database_told(db))
    yield from _connections(db)


def _database_told(db: str) -> Finding:
    with closing(open_store(db)) as store:
        where = store.database.engine.url.render_as_string(hide_password=True)
        found = schema.version(store.database)
        if found == schema.HEAD:
            held = store.recovery.standing()
            if held.held_since is not None:
                return Finding(
                    "database", Health.BAD, f"{where} is held: {held.reason}",
                    "Compare it with the world outside, then run `interlock db resume`.",
                )  # fmt: skip
            return Finding("database", Health.GOOD, f"{where} answers; its schema version is {found}, as needed")
        if found is None:
            return Finding(
                "database", Health.BAD, f"{where} answers and has no tables of Interlock",
                "Call setup() once, or run `interlock db upgrade`.",
            )  # fmt: skip
        newer = found > schema.HEAD
        return Finding(
            "database", Health.BAD, f"{where} has the schema version {found}, and this release needs {schema.HEAD}",
            "Install the release that the other processes run." if newer else "Run `interlock db upgrade`.",
        )  # fmt: skip


def _connections(db: str) -> Iterator[Finding]:
    """The connections that a process uses, and those that the server has left; nothing if the server does not report them."""
    with contextlib.suppress(InterlockError), closing(open_store(db)) as store:
        with store.database.read() as connection:
            limit = server_limit(connection)
        if limit is None:
            return
        mine = Capacity().connections
        left = max(0, limit.allowed - limit.taken)
        told = f"the server allows {limit.allowed} and {limit.taken} are open; a process takes up to {mine}: room for {left // mine} more"
        mend = "Give processes fewer (Capacity(connections=...), `interlock work --connections`), or let the server allow more (max_connections)."
        health = Health.GOOD if left >= mine else Health.OFF if left else Health.BAD
        yield Finding("connections", health, told, None if health is Health.GOOD else mend)


def _broker(bus: str | None) -> Iterator[Finding]:
    if not bus:
        yield Finding(
            "broker", Health.OFF, "none was named", "Pass --bus, or set INTERLOCK_BUS, if events are to leave."
        )
        return
    try:
        parts = urlsplit(bus)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    port = port or _PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        yield Finding(
            "broker",
            Health.BAD,
            f"{bus!r} is not the URL of a broker",
            f"Write one of {', '.join(_PORTS)}://host:port.",
        )
        return
    where = f"{parts.scheme}://{parts.hostname}:{port}"
    try:
        socket.create_connection((parts.hostname, port), timeout=_SECONDS).close()
    except OSError as error:
        yield Finding(
            "broker", Health.BAD, f"{where} does not answer ({error.strerror or type(error).__name__})",
            "Start it, or correct INTERLOCK_BUS. Events wait in the outbox meanwhile; nothing is lost.",
        )  # fmt: skip
        return
    yield Finding("broker", Health.GOOD, f"{where} answers")


def _finding(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except InterlockError as error:
        return Finding(what, Health.BAD, error.message)
    except Exception as error:
        return Finding(what, Health.BAD, described(error)[:300])


__all__: list[Any] = ["Finding", "Health", "register"]
