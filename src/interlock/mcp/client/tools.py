"""The tools of one MCP server as contracts: `MCPTools`."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...tools.contracts import ToolContract
from ...tools.contracts.json_schema import contract_from_schema
from ...tools.contracts.published_shape import ToolAnnotations
from ...tools.contracts.retry import RetryPolicy
from ...tools.errors import ContractError
from ...tools.kinds import Effect, ToolKind
from ...tools.model_answers import Answers, AnswersName
from ...tools.sinks import logger_of
from ...tools.wire import TOOL_NAME, WIRE_NAME, published_canonical_name, published_wire_name
from ..lock.definitions import Listing, ToolDefinition
from ..lock.lockfile import LOCK_FILE, LockedServer, LockedTool, LockFile
from .answers import UnknownWhen
from .background import BACKGROUND
from .calls import ToolCalls
from .connection import Connection, Times
from .processes import PerProcess
from .targets import CommandTarget, Credential, Target, target_of

logger = logger_of("interlock.mcp")


class MCPTools:
    """The tools of one MCP server, as contracts that are made from the lock file alone.

    The server's own claims are not trusted. Each tool is an at-most-once command unless this code declares otherwise; the server's hints
    can only make it stricter. The server is started or reached at the first call; one session serves all calls of this process.

    Example:
        ``bank = MCPTools("bank", ["uvx", "bank-mcp"], lock="mcp.lock.json", reads=["get_balance"], idempotent=["transfer"])``
    """

    def __init__(
        self,
        name: str,
        target: str | Sequence[str],
        *,
        lock: str | Path = LOCK_FILE,
        reads: Collection[str] = (),
        idempotent: Collection[str] = (),
        unknown_when: UnknownWhen = (),
        timeout: float | dt.timedelta = 30.0,
        connect_timeout: float | dt.timedelta = 30.0,
        recheck: float | dt.timedelta = 0.0,
        retry: RetryPolicy | None = None,
        prefix: str = "",
        env: Mapping[str, Credential] | None = None,
        cwd: str | Path | None = None,
        headers: Mapping[str, Credential] | None = None,
        auth: Any = None,
    ) -> None:
        """Configure the server and its tools, without connecting.

        Args:
            name: The name of the server here and in the lock file: a lower-case word. It is the prefix of the tools' canonical names.
            target: The URL of a server; or the command that starts one, as one text or as a list of words.
            lock: The path of the lock file.
            reads: The names of tools that change nothing. The server must not annotate them with ``readOnlyHint: false``.
            idempotent: The names of tools that are safe to repeat, under the idempotency key of the request's `_meta` or in any case. The
                server must not annotate them with ``idempotentHint: false``.
            unknown_when: The error codes after which the effect of a call is unknown, or a function of the result that decides this.
            timeout: The maximum duration of one call, in seconds or as a timedelta.
            connect_timeout: The maximum time to start or reach the server and to list its tools.
            recheck: The validity of a listing if the server does not say. By default, each call requests it again.
            retry: The retry policy of reads and idempotent commands.
            prefix: A prefix for the tool names that the model sees, if several servers have tools of the same name.
            env: Environment variables for the process of a command, in addition to a few standard ones: values, or functions that return
                them, such as `from_environment`.
            cwd: The working directory of a command.
            headers: Headers of each request to a URL: values, or functions that return them.
            auth: An `Auth` of httpx2 for a URL, such as the SDK's OAuth providers.

        Raises:
            ContractError: An argument is invalid; the message says how to fix it.
        """
        if not TOOL_NAME.fullmatch(name) or "." in name:
            raise ContractError(
                f"the MCP server {name!r} has a name that is not a lower-case word; use for example 'bank'"
            )
        self.name = name
        self.lock = Path(lock)
        self.target = target_of(name, target, env=env, cwd=cwd, headers=headers, auth=auth)
        self._reads = _names(name, "reads", reads)
        self._idempotent = _names(name, "idempotent", idempotent)
        if both := sorted(self._reads & self._idempotent):
            raise ContractError(
                f"the MCP server {name!r} has {', '.join(both)} in reads= and in idempotent=; a read is repeated anyway"
            )
        self._unknown_when: UnknownWhen = unknown_when if callable(unknown_when) else frozenset(unknown_when)
        self._retry = retry
        self._prefix = prefix
        times = Times(
            _seconds(name, "timeout", timeout),
            _seconds(name, "connect_timeout", connect_timeout),
            _seconds(name, "recheck", recheck),
        )
        self._connection = PerProcess(lambda: Connection(name, self.target, times))

    @classmethod
    def at(
        cls, name: str, target: Target, *, lock: str | Path = LOCK_FILE, connect_timeout: float = 30.0
    ) -> "MCPTools":
        """Create it for a target that was already parsed, for reviews of the lock file.

        Args:
            name: The name of the server.
            target: The target.
            lock: The path of the lock file.
            connect_timeout: As for the class.
        """
        if isinstance(target, CommandTarget):
            words = [target.command, *target.args]
            return cls(name, words, lock=lock, env=target.env, cwd=target.cwd, connect_timeout=connect_timeout)
        return cls(
            name, target.url, lock=lock, headers=target.headers, auth=target.auth, connect_timeout=connect_timeout
        )

    def __repr__(self) -> str:
        return f"<MCPTools {self.name}>"

    def contracts(self, only: Iterable[str] | None = None) -> list[ToolContract]:
        """Make contracts of the tools, without connecting to the server.

        Args:
            only: The names of the wanted tools; by default all locked ones.

        Raises:
            LockFileError: The lock file is missing or damaged, or does not contain the server.
            ContractError: A tool cannot be a contract, or a name is not that of a locked tool.
        """
        locked = self.locked()
        wanted = [*locked.tools] if only is None else [*only]
        self._check_known(locked, {*wanted, *self._reads, *self._idempotent})
        return [self._contract(locked, locked.tools[tool]) for tool in wanted]

    def contract(
        self,
        tool: str,
        *,
        check: Callable[..., Any] | None = None,
        preview: Callable[..., Any] | None = None,
        sensitive: Iterable[str] = (),
        answers: Answers | AnswersName | None = None,
    ) -> ToolContract:
        """Make the contract of one tool, without connecting to the server.

        Args:
            tool: Its name at the server.
            check: As in `command`; its parameters are arguments by name, or ``arguments`` for all of them.
            preview: As `check`.
            sensitive: As in `command`.
            answers: As in `read`.

        Raises:
            LockFileError: As `contracts`.
            ContractError: As `contracts`.
        """
        locked = self.locked()
        self._check_known(locked, {tool, *self._reads, *self._idempotent})
        return self._contract(
            locked, locked.tools[tool], check=check, preview=preview, sensitive=sensitive, answers=answers
        )

    def listing(self) -> Listing:
        """Request the current list of the server's tools, for reviews.

        Raises:
            ServerUnavailable: The server cannot be reached, or gives no usable answer.
        """
        return BACKGROUND.run(self._connection.mine.list_tools())

    async def alisting(self) -> Listing:
        """As `listing`, asynchronously."""
        return await BACKGROUND.arun(self._connection.mine.list_tools())

    def close(self) -> None:
        """End the session of this process; the next call starts a new one."""
        if (connection := self._connection.made) is not None:
            BACKGROUND.run(connection.close())

    async def aclose(self) -> None:
        """As `close`, asynchronously."""
        if (connection := self._connection.made) is not None:
            await BACKGROUND.arun(connection.close())

    def locked(self) -> LockedServer:
        """Return the locked definition of the server, without connecting to it.

        Raises:
            LockFileError: The lock file is missing or damaged, or does not contain the server.
        """
        return LockFile.load(self.lock).server(self.name, self.lock)

    def _check_known(self, locked: LockedServer, names: Collection[str]) -> None:
        if unknown := sorted({*names} - locked.tools.keys()):
            raise ContractError(
                f"the MCP server {self.name!r} has no locked tool {', '.join(map(repr, unknown))} (the lock file {str(self.lock)!r} has "
                f"{', '.join(sorted(locked.tools)) or 'none'}); correct the name, or lock the server again"
            )

    def _contract(self, locked: LockedServer, tool: LockedTool, **options: Any) -> ToolContract:
        definition = tool.definition
        kind, effect = self._nature(definition)
        calls = ToolCalls(
            self._connection,
            definition,
            locked.server,
            kind,
            effect,
            retry=self._retry,
            unknown_when=self._unknown_when,
        )
        wire = self._prefix + definition.name
        return contract_from_schema(
            f"{self.name}.{published_canonical_name(definition.name)}",
            definition.input_schema,
            calls.call,
            coroutine=calls.acall,
            output_schema=definition.output_schema,
            kind=kind,
            effect=effect,
            version=tool.version,
            description=definition.description or definition.title,
            wire_name=wire if WIRE_NAME.fullmatch(wire) else published_wire_name(wire),
            retry=None if effect is Effect.AT_MOST_ONCE and kind is ToolKind.COMMAND else self._retry,
            annotations=_stricter(definition, kind),
            **options,
        )

    def _nature(self, definition: ToolDefinition) -> tuple[ToolKind, Effect]:
        """The kind and effect of a tool: those in this code, unless the server's hints are stricter."""
        name = definition.name
        if name in self._reads:
            if definition.hint("readOnlyHint") is not False and definition.hint("destructiveHint") is not True:
                return ToolKind.READ, Effect.AT_MOST_ONCE
            logger.warning(
                "%s of the MCP server %s is said to be a read, and the server says that it is none: it is taken for a command",
                name,
                self.name,
            )
        elif name in self._idempotent:
            if definition.hint("idempotentHint") is not False:
                return ToolKind.COMMAND, Effect.IDEMPOTENT
            logger.warning(
                "%s of the MCP server %s is said to be idempotent, and the server says that it is not: it is not repeated",
                name,
                self.name,
            )
        return ToolKind.COMMAND, Effect.AT_MOST_ONCE


def _stricter(definition: ToolDefinition, kind: ToolKind) -> ToolAnnotations | None:
    """The server's hints that are passed on: only those that are warnings."""
    return ToolAnnotations(
        destructive_hint=True if definition.hint("destructiveHint") is True and kind is ToolKind.COMMAND else None,
        open_world_hint=True if definition.hint("openWorldHint") is True else None,
    )


def _names(server: str, argument: str, names: Collection[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ContractError(f"the MCP server {server!r} has {argument}={names!r}; give a list of names of tools")
    return frozenset(names)


def _seconds(server: str, argument: str, value: float | dt.timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    least = 0 if argument == "recheck" else 1e-9
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not least <= seconds < float("inf"):
        raise ContractError(
            f"the MCP server {server!r} has {argument}={value!r}; give a positive number of seconds, or a timedelta"
        )
    return float(seconds)


__all__ = ["MCPTools"]
