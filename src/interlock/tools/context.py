"""The context that a tool function gets beside its arguments."""

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
    """What a tool function is given when one of its parameters is annotated with this class.

    The class can be given the type of the workflow's data, ``ToolContext[CaseData]``, for type checkers. The runtime
    builds it, for one attempt of one call.
    """

    data: DataT
    """A copy of the workflow's data that a command may change; the changes are kept when the command succeeds. None
    where there is no data."""
    principal: Principal
    """Who proposed the call, not who approved it."""
    workflow_id: WorkflowId
    state: str
    """The state that the workflow is in while the tool runs."""
    revision: int
    trace_id: TraceId
    audit_ref: AuditRef
    """Of the record that this attempt is written down in."""
    idempotency_key: IdempotencyKey
    """The same at every attempt of this call: hand it to the system outside."""
    attempt: int
    """1 for the first attempt."""
    now: dt.datetime
    """The time in UTC by the store's clock, when this attempt was judged: what deadlines and rules go by. It stays the same while the tool
    runs."""
    emitted: list[Event]
    """What was emitted so far."""
    artifact: Any
    """What the tool gives the application beside its output, such as the documents that it read. It is on the tool's message in the
    conversation, as with LangChain's tools; neither the model nor the workflow's record has it."""

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
        """Build the context of one attempt.

        `session` is a SQLAlchemy Session or AsyncSession, or a function without arguments that opens it when it is
        first asked for. Where there is none, `no_session` says why and what to do, for the error that asking for it
        raises. `now` is the time of this process where none is given. `known` is what other
        contexts of the same call, in the same transaction, computed by `once`.
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
        """What a call computes once per transaction: its checks, its preview and the tool itself share it.

        Share plain values and not objects of a session: each of those who share has its own session.

        Args:
            name: What it is called among those who share.
            compute: Called the first time.
        """
        if name not in self._known:
            self._known[name] = compute()
        found: OnceT = self._known[name]
        return found

    @property
    def tenant(self) -> str:
        """Whose the workflow is."""
        return self.principal.tenant

    @property
    def session(self) -> "Session":
        """The SQLAlchemy Session of the transition's transaction. Do not commit it: the runtime does. An async tool asks for
        `async_session`.

        Raises:
            ContextError: there is none where this tool runs.
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
        """As `session`, in an async tool: a SQLAlchemy AsyncSession.

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
        """Let an event leave through the outbox when the transaction commits.

        Raises:
            ContextError: the tool is a read, or `event` is no `Event`.
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
        """Mark what the body does before its effect outside begins, such as looking things up.

        What raises in there has done nothing outside. It fails the call with `tool_failed`, and nobody has to say what became of it, also
        where the effect is `at_most_once`::

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
        """Whether an exception of the body comes out of `before_effect`, so that the effect had not begun."""
        return error is self._failed_before

    def close(self) -> None:
        """End the context with the attempt it was made for: a tool that kept it cannot write behind the ledger's
        back.
        """
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
