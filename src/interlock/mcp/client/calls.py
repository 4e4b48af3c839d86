"""The sync and async functions of a server's tool, which its contract runs."""

from dataclasses import dataclass
from typing import Any

from ...tools.canonical import JsonObject
from ...tools.context import ToolContext
from ...tools.contracts.retry import RetryPolicy
from ...tools.errors import DefinitionMismatch, Refused, ServerUnavailable
from ...tools.kinds import Effect, ToolKind
from ..lock.definitions import ServerIdentity, ToolDefinition
from ..meta import meta_of
from .answers import UnknownWhen, is_unknown, output_of, refusal_of
from .background import BACKGROUND
from .connection import Connection
from .processes import PerProcess


@dataclass(frozen=True)
class ToolCalls:
    """Calls one tool."""

    connection: PerProcess[Connection]
    definition: ToolDefinition
    """The reviewed tool."""
    identity: ServerIdentity
    """The reviewed server."""
    kind: ToolKind
    effect: Effect
    retry: RetryPolicy | None
    unknown_when: UnknownWhen

    def call(self, arguments: dict[str, Any], ctx: ToolContext | None = None) -> Any:
        """Call the tool and wait for its answer.

        Args:
            arguments: The arguments of the call.
            ctx: The context of the attempt; None outside of a workflow.

        Raises:
            Refused: The tool refused the call, or nothing was sent.
            AnswerLost: It is unknown whether the call was executed.
        """
        try:
            return self._answered(BACKGROUND.run(self._sent(arguments, ctx)), ctx)
        except (ServerUnavailable, DefinitionMismatch) as error:
            raise self._not_sent(error, ctx) from error

    async def acall(self, arguments: dict[str, Any], ctx: ToolContext | None = None) -> Any:
        """As `call`, asynchronously.

        Args:
            arguments: The arguments of the call.
            ctx: The context of the attempt; None outside of a workflow.
        """
        try:
            return self._answered(await BACKGROUND.arun(self._sent(arguments, ctx)), ctx)
        except (ServerUnavailable, DefinitionMismatch) as error:
            raise self._not_sent(error, ctx) from error

    async def _sent(self, arguments: dict[str, Any], ctx: ToolContext | None) -> JsonObject:
        meta = {} if ctx is None else meta_of(ctx)
        return await self.connection.mine.call(self.definition, self.identity, arguments, meta)

    def _answered(self, result: JsonObject, ctx: ToolContext | None) -> Any:
        name = self.definition.name
        if result.get("isError") is True:
            if is_unknown(result, self.unknown_when):
                raise self.connection.mine.lost(name, "it answered with an error that leaves that open")
            raise refusal_of(name, result)
        output, whole = output_of(result, is_promised=self.definition.output_schema is not None)
        if ctx is not None and whole is not None:
            ctx.artifact = whole
        return output

    def _not_sent(self, error: ServerUnavailable | DefinitionMismatch, ctx: ToolContext | None) -> Exception:
        """The error for a call that was not sent: nothing was done, unless an earlier attempt of the same call may have had its effect."""
        attempt = 1 if ctx is None else ctx.attempt
        if self.kind is ToolKind.READ:
            attempts = 1 if self.retry is None else self.retry.attempts
            if isinstance(error, ServerUnavailable) and attempt < attempts:
                return error  # a read is retried
        elif self.effect is Effect.IDEMPOTENT and attempt > 1:
            return error
        return Refused(error.message, code=error.code, retryable=error.retryable, details=error.details)


__all__ = ["ToolCalls"]
