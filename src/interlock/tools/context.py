"""The context that a tool function receives in addition to its arguments."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from .errors import ContextError
from .events import Event
from .ids import AuditRef, IdempotencyKey, TraceId, WorkflowId
from .kinds import ToolKind
from .principal import Principal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

DataT = TypeVar("DataT", default=Any)
OnceT = TypeVar("OnceT")


class ToolContext(Generic[DataT]):
    """The context of one attempt of a call. A tool function receives it in a parameter that is annotated with this class.

    For type checkers, give the class the type of the workflow's data: ``ToolContext[CaseData]``.
    """

    data: DataT
    """A copy of the workflow's data. A command may change it; the changes are kept if the command succeeds. None if the workflow has no
    data."""
    principal: Principal
    """The principal who proposed the call, not the one who approved it."""
    workflow_id: WorkflowId
    state: str
    """The state of the workflow while the tool runs."""
    revision: int
    trace_id: TraceId
    audit_ref: AuditRef
    """The ID of the audit record of this attempt."""
    idempotency_key: IdempotencyKey
    """The same key at every attempt of this call. Pass it to the outside system, so that it can recognize a repetition."""
    attempt: int
    """1 for the first attempt."""
    now: dt.datetime
    """The time in UTC, by the store's clock, at which this attempt was judged. Deadlines and rules use the same clock. It does not change
    while the tool runs."""
    emitted: list[Event]
    """The events that were emitted so far."""
    artifact: Any
    """Data for the application in addition to the output, such as the documents that the tool read. Set it; it becomes the `artifact` of
    the tool message, as with LangChain's tools. Neither the model nor the audit trail receives it."""

    def __init__(
        self,
        *,
        kind: ToolKind,
        workflow_id: WorkflowId,
        state: str,
        revision: int,
        trace_id: TraceId,
        audit_ref: AuditRef,
        idempotency_key: IdempotencyKey,
        data: DataT = None,  # type: ignore[assignment]  # a workflow without data has None
        principal: Principal = Principal.ANONYMOUS,
        attempt: int = 1,
        session: Any = None,
        no_session: str | None = None,
        now: dt.datetime | None = None,
        known: dict[str, Any] | None = None,
    ) -> None:
        """Create the context of one attempt.

        `session` is a SQLAlchemy Session or AsyncSession, or a function without arguments that opens one on first use. Without a session,
        `no_session` is the message of the error: why there is none, and what to do. `now` is by default the time of this process. `known`
        has the values that other contexts of the same call computed with `once` in the same transaction.
        """
        self.kind = kind
        self.workflow_id = workflow_id
        self.state = state
        self.revision = revision
        self.trace_id = trace_id
        self.audit_ref = audit_ref
        self.idempotency_key = idempotency_key
        self.data = data
        self.principal = principal
        self.attempt = attempt
        self.now = dt.datetime.now(dt.UTC) if now is None else now
        self.emitted = []
        self.artifact = None
        self._session = session
        self._no_session = no_session
        self._closed = False
        self._failed_before: BaseException | None = None
        self._known = {} if known is None else known

    def once(self, name: str, compute: Callable[[], OnceT]) -> OnceT:
        """Compute a value once per call and transaction, so that the check, the preview and the tool share it.

        Share plain values, and not objects of a session: each of these functions has its own session.

        Args:
            name: The name under which the value is shared.
            compute: Computes the value; called the first time only.
        """
        if name not in self._known:
            self._known[name] = compute()
        found: OnceT = self._known[name]
        return found

    @property
    def tenant(self) -> str:
        """The tenant of the workflow instance."""
        return self.principal.tenant

    @property
    def session(self) -> "Session":
        """The SQLAlchemy Session of the transition's transaction. Do not commit it; the runtime does. An async tool uses `async_session`.

        Raises:
            ContextError: There is no session here, for example because the effect is not transactional. The message says what to do.
        """
        self._check_open("session")
        if self._session is None:
            raise ContextError(
                self._no_session
                or "there is no session here: only tools whose effect "
                "is 'transactional' have one, in a workflow that has a workflow store; declare the "
                "tool with effect='transactional' and compile the "
                "workflow with a store, or open your own connection"
            )
        if _is_factory(self._session):
            self._session = self._session()
        opened: Session = self._session
        return opened

    @property
    def async_session(self) -> "AsyncSession":
        """The SQLAlchemy AsyncSession of the transition's transaction, for an async tool. Do not commit it; the runtime does.

        Raises:
            ContextError: There is none where this tool runs, or the tool is not async.
        """
        opened: Any = self.session
        if not hasattr(opened, "sync_session"):
            raise ContextError(
                "ctx.async_session was asked for in a tool that is not async; ask for ctx.session, or define the tool with async def"
            )
        asynchronous: AsyncSession = opened
        return asynchronous

    def emit(self, event: Event) -> None:
        """Emit an event: it is written to the outbox in the transaction, and published after the commit.

        Raises:
            ContextError: The tool is a read, or `event` is not an `Event`.
        """
        self._check_open("emit")
        if self.kind is ToolKind.READ:
            raise ContextError("a read emits nothing, because it changes nothing; declare the tool as a command")
        if not isinstance(event, Event):
            raise ContextError(
                f"ctx.emit was given a {type(event).__qualname__}; give an instance of a subclass of interlock.Event"
            )
        self.emitted.append(event)

    @contextmanager
    def before_effect(self) -> Iterator[None]:
        """Mark the part of the body that runs before its effect outside begins, such as look-ups.

        An exception in this part means that the effect did not happen. The call fails with `tool_failed`, and no person has to resolve it,
        even if the effect is `at_most_once`::

            with ctx.before_effect():
                address = addresses[customer]
            post.send(address, letter)
        """
        try:
            yield
        except Exception as error:
            self._failed_before = error
            raise

    def failed_before(self, error: BaseException) -> bool:
        """Whether an exception of the body was raised in `before_effect`, so that the effect had not begun."""
        return error is self._failed_before

    def close(self) -> None:
        """End the context with its attempt, so that a tool that kept it cannot write outside the ledger."""
        self._closed = True

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise ContextError(
                f"ctx.{what} was used after its tool had returned; use it within the tool's body "
                "only, and do not keep it"
            )


def _is_factory(session: Any) -> bool:
    opener: Callable[[], Any] | Any = session
    return callable(opener) and not hasattr(opener, "execute")
