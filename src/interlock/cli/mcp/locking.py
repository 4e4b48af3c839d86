"""`interlock mcp lock`, `diff` and `verify`: the definitions of the tools of MCP servers, reviewed like a dependency lock."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ...mcp.client.reviewing import REFUSED, locked, review
from ...mcp.client.targets import Credential, FromEnvironment, target_from_json
from ...mcp.client.tools import MCPTools
from ...mcp.lock.changes import Change, ChangeKind
from ...mcp.lock.lockfile import LOCK_FILE, LockFile
from ...tools.errors import InputError
from ..support.loading import load_object
from ..support.output import AsJson, ExitCode, console, print_json, visible

_STYLES = {ChangeKind.ADDED: "yellow"}

LockOption = Annotated[Path, typer.Option("--lock", envvar="INTERLOCK_MCP_LOCK", metavar="FILE", help="The lock file.")]
ToolsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tools", metavar="MODULE:NAME", help="An MCPTools object in your code, for its target and its credentials."
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--connect-timeout", metavar="SECONDS", help="The time limit for starting a server and listing its tools."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("lock", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(lock)
    app.command("diff")(diff)
    app.command("verify")(verify)


def lock(  # noqa: PLR0917 -- the options of a command
    server: Annotated[
        str | None, typer.Argument(help="Your name for the server: a lower-case word. Default: all locked servers.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Argument(help="A URL, or the command that starts the server, with its arguments.")
    ] = None,
    file: LockOption = Path(LOCK_FILE),
    tools: ToolsOption = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="NAME[=VARIABLE]", help="A variable for the server's process, from this one's environment."
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", metavar="NAME=VARIABLE", help="A header of each request, from an environment variable."
        ),
    ] = None,
    bearer: Annotated[
        str | None,
        typer.Option("--bearer", metavar="VARIABLE", help="The environment variable with a bearer token."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="TOOL", help="Lock only these tools.")] = None,
    connect_timeout: TimeoutOption = 60.0,
    as_json: AsJson = False,
) -> None:
    """Connect to MCP servers, and write the definitions of their tools to the lock file.

    Review the output, and commit the file. Options come before the server: interlock mcp lock --env TOKEN bank npx -y bank-mcp@1.2.0
    """
    before = LockFile.load(file, missing_is_empty=True)
    if target:
        if server is None or tools:
            raise InputError("A target needs the name of its server, and no --tools. Nothing was locked.", code="usage")
        credentials = _pairs(env)
        headers = _pairs(header) | ({} if bearer is None else {"Authorization": FromEnvironment(bearer, "Bearer {}")})
        servers = [
            MCPTools(
                server,
                target[0] if len(target) == 1 else target,
                lock=file,
                env=credentials,
                headers=headers,
                connect_timeout=connect_timeout,
            )
        ]
    else:
        servers = _servers(before, [server] if server else None, tools, file, connect_timeout)
    now, changes = locked(before, servers, only=only or None)
    now.save(file)
    names = [one.name for one in servers]
    counts = {name: len(now.servers[name].tools) for name in names}
    if as_json:
        print_json({"ok": True, "locked": counts, "changes": [change.to_json() for change in changes]})
        return
    for name in names:
        console().print(Text(visible(f"{name}: {counts[name]} tools locked in {file}")))
    _print(changes)


def diff(
    servers: Annotated[list[str] | None, typer.Argument(help="The servers. Default: all locked servers.")] = None,
    file: LockOption = Path(LOCK_FILE),
    tools: ToolsOption = None,
    connect_timeout: TimeoutOption = 60.0,
    as_json: AsJson = False,
) -> None:
    """Connect to MCP servers, and describe what has changed since they were locked."""
    before = LockFile.load(file)
    found = review(before, _servers(before, servers, tools, file, connect_timeout), path=str(file))
    if as_json:
        print_json({"ok": True, "holds": found.holds, "changes": [change.to_json() for change in found.changes]})
    else:
        _print(found.changes, empty="Nothing has changed.")


def verify(
    servers: Annotated[list[str] | None, typer.Argument(help="The servers. Default: all locked servers.")] = None,
    file: LockOption = Path(LOCK_FILE),
    tools: ToolsOption = None,
    connect_timeout: TimeoutOption = 60.0,
    as_json: AsJson = False,
) -> None:
    """Connect to MCP servers, and exit with 1 if one of them differs from the lock file. Use it in CI."""
    before = LockFile.load(file)
    found = review(before, _servers(before, servers, tools, file, connect_timeout), path=str(file))
    wrong = [change for change in found.changes if change.kind in REFUSED]
    if as_json:
        print_json({"ok": found.holds, "changes": [change.to_json() for change in wrong]})
    else:
        _print(wrong, empty=f"All as locked: {', '.join(sorted(found.listings))}.")
    if not found.holds:
        raise typer.Exit(ExitCode.NO)


def _servers(
    before: LockFile, names: Iterable[str] | None, tools: Iterable[str] | None, file: Path, connect_timeout: float
) -> list[MCPTools]:
    """The requested servers: those in the application's code, and others with the targets in the lock file."""
    given: dict[str, MCPTools] = {}
    for spec in tools or ():
        one = load_object(spec, MCPTools, option="--tools")
        given[one.name] = one
    wanted = [*names] if names else [*(given or before.servers)]
    if not wanted:
        raise InputError(
            f"No server is locked in {str(file)!r}, and none was named. Nothing was done. Name one and how it is reached: "
            "interlock mcp lock NAME COMMAND...",
            code="usage",
        )
    found: list[MCPTools] = []
    for name in wanted:
        if name in given:
            found.append(given[name])
            continue
        target = target_from_json(name, before.server(name, file).target)
        found.append(MCPTools.at(name, target, lock=file, connect_timeout=connect_timeout))
    return found


def _pairs(given: Iterable[str] | None) -> dict[str, Credential]:
    pairs = (one.partition("=") for one in given or ())
    return {name: FromEnvironment(variable or name) for name, _, variable in pairs}


def _print(changes: Iterable[Change], *, empty: str | None = None) -> None:
    said = False
    for change in changes:
        said = True
        heading = f"{change.server}: {change.tool}" if change.tool else change.server
        console().print(
            Text.assemble((visible(heading), "bold"), " ", (change.kind.value, _STYLES.get(change.kind, "red")))
        )
        for words in change.words:
            console().print(Text(visible(f"  {words}")))
    if not said and empty:
        console().print(Text(empty))


__all__ = ["diff", "lock", "register", "verify"]
