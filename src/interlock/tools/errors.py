"""Every error that Interlock raises, by the phase in which it occurs.

::

    InterlockError
    ├── DefinitionError             while tools are defined
    │   ├── ContractError             a tool or event contract is invalid
    │   └── RegistryError             contracts conflict with each other
    ├── WorkflowDefinitionError     while a workflow is built or compiled
    │   └── ClaimError                a claim about it is unclear, or does not hold
    ├── RunError                    while a workflow runs
    │   ├── InputError                input from the caller or the model cannot be used
    │   │   ├── InvalidInput            the input of a run
    │   │   ├── InvalidArguments        the arguments of a tool call
    │   │   ├── NotJson                 a value that has no JSON form
    │   │   ├── MissingThreadId
    │   │   ├── DurabilityError         a command would run before its checkpoint is stored
    │   │   ├── PrincipalError          the principal is missing or unusable
    │   │   └── ResumeError             nothing to resume, or the answer is for something else
    │   │       └── InvalidResume         the payload has a wrong shape
    │   ├── ConflictError             retryable: another caller was first
    │   │   ├── RevisionConflict        the instance changed
    │   │   │   └── LeaseLost             this runner's lease expired, and another one took over
    │   │   └── InProgress              the same command is still running
    │   ├── IdempotencyError          one key, two different commands
    │   ├── OutcomeUnknown            an attempt was interrupted during its effect
    │   ├── StaleCheckpoint           time travel behind the instance
    │   ├── WorkflowFinished          nothing may follow a final state
    │   ├── UnknownState              retryable: the stored state is not in this definition
    │   ├── DefinitionChanged         retryable: the instance cannot continue under this definition
    │   ├── RuleError                 a rule of the application failed
    │   └── ToolError                 an error of a tool function
    │       ├── Refused                 the tool refused the call
    │       ├── InvalidOutput           the output does not match the contract
    │       └── ContextError            the tool misused its ToolContext
    ├── StoreError                  the database
    │   ├── StoreUnavailable          retryable: not reachable, or locked
    │   │   └── CommitUnknown           the answer to a COMMIT was lost
    │   ├── StoreHeld                 a backup was restored, and nobody has released the database yet
    │   ├── NotADatabase
    │   ├── ReadOnlyStore
    │   └── SchemaMismatch            the tables belong to another release
    ├── BusError                    the message broker
    │   ├── BusUnavailable            retryable: not reachable, or no answer
    │   └── PublishRefused            the broker refuses this message
    └── MCPError                    a server of the Model Context Protocol
        ├── LockFileError             the lock file is missing, damaged, or lacks the server
        ├── ServerUnavailable         retryable: not started or not reachable, and nothing was sent
        ├── DefinitionMismatch        its tools differ from the reviewed ones, and nothing was sent
        └── AnswerLost                a call was sent, and its outcome is unknown

Each has a message that says what happened, what the current state is and what to do; a `code` for programs; `retryable`; and plain `details`.
"""

# ruff: noqa: N818 -- the name says what happened; the suffix Error is for the branches of the tree
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, cast

from .codes import ErrorCode


class InterlockError(Exception):
    """The root of all errors of Interlock."""

    default_code: ClassVar[str] = "interlock_error"
    """The default `code` of this class."""
    default_retryable: ClassVar[bool] = False

    code: str
    """The cause, for programs. Errors that are also sent over the wire use a member of `ErrorCode`."""
    retryable: bool
    """Whether the same call may succeed later without changes."""
    details: dict[str, Any]
    """Further data, as plain JSON."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.details = dict(details or {})

    @property
    def message(self) -> str:
        """What happened, what the current state is, and what to do."""
        told = self.args[0]
        with contextlib.suppress(Exception):  # a tool may raise `Refused` with anything, whose methods may raise
            return str.__str__(told if issubclass(type(told), str) else str(told))
        return "no text can be read"


class DefinitionError(InterlockError):
    """A tool definition is invalid."""

    default_code = "definition_error"


class ContractError(DefinitionError):
    """A tool or event contract is invalid; the message names the function, the problem and the fix."""

    default_code = "contract_error"


class RegistryError(DefinitionError):
    """Contracts conflict, for example because two of them use one name."""

    default_code = "registry_error"


class WorkflowDefinitionError(InterlockError):
    """A workflow definition is invalid; the message names the place."""

    default_code = "workflow_definition_error"


class ClaimError(WorkflowDefinitionError):
    """A claim about a workflow is unclear, or does not hold; the message contains the path that violates it."""

    default_code = "claim_error"


class RunError(InterlockError):
    """A run of a workflow could not do what was requested."""

    default_code = "run_error"


class InputError(RunError):
    """Input from the caller or the model cannot be used. Nothing was done."""

    default_code = "input_error"


class InvalidInput(InputError):
    """The input of a run has a wrong shape."""

    default_code = "invalid_input"


class Problem(TypedDict):
    """One problem with the arguments of a call."""

    field: str
    """Its path on the wire, such as ``address.zipCode`` or ``items.0``; empty for all arguments together."""
    problem: str
    """The problem with the field."""


class InvalidArguments(InputError):
    """The arguments of a tool call do not match its contract."""

    default_code = ErrorCode.INVALID_ARGUMENTS

    tool: str | None
    """The canonical name of the tool. The message omits it, because the model knows the tool by another name."""

    def __init__(
        self,
        message: str,
        *,
        tool: str | None = None,
        problems: Iterable[Problem] = (),
        code: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, details={**(details or {}), "problems": [*problems]})
        self.tool = tool

    @property
    def problems(self) -> list[Problem]:
        """The problems, by field."""
        return cast("list[Problem]", self.details["problems"])


class NotJson(InputError):
    """A value has no JSON form where one is needed."""

    default_code = "not_json"


class MissingThreadId(InputError):
    """The config names no thread, and therefore no workflow instance."""

    default_code = "missing_thread_id"


class DurabilityError(InputError):
    """With the chosen durability, a command would run before its checkpoint is stored."""

    default_code = "durability_error"


class PrincipalError(InputError):
    """The principal is missing or cannot be used."""

    default_code = "principal_error"


class ResumeError(InputError):
    """There is nothing to resume, or the answer is for something else."""

    default_code = "resume_error"


class InvalidResume(ResumeError):
    """The payload of a resume has a wrong shape."""

    default_code = "invalid_resume"


class ConflictError(RunError):
    """Another caller was first. Read the current state, then try again."""

    default_code = ErrorCode.CONFLICT
    default_retryable = True


class RevisionConflict(ConflictError):
    """The workflow instance changed between reading and writing."""


class InProgress(ConflictError):
    """The same command is still running elsewhere."""

    default_code = ErrorCode.IN_PROGRESS


class LeaseLost(RevisionConflict):
    """This runner's lease expired and another runner took over; this one writes nothing more."""


class IdempotencyError(RunError):
    """The idempotency key was used for another tool or other arguments."""

    default_code = ErrorCode.IDEMPOTENCY_MISMATCH


class OutcomeUnknown(RunError):
    """An attempt was interrupted, and it is unknown whether its effect happened; a person has to resolve it."""

    default_code = ErrorCode.OUTCOME_UNKNOWN


class StaleCheckpoint(RunError):
    """The run starts from a checkpoint older than the workflow instance (time travel)."""

    default_code = ErrorCode.STALE_CHECKPOINT


class WorkflowFinished(RunError):
    """The workflow instance is in a final state."""

    default_code = ErrorCode.WORKFLOW_FINISHED


class UnknownState(RunError):
    """The stored state of the instance is not in this definition of the workflow; another release may have it."""

    default_code = "unknown_state"
    default_retryable = True


class DefinitionChanged(RunError):
    """The instance cannot continue under this definition; a process of another release may be able to run it."""

    default_code = "definition_changed"
    default_retryable = True


class RuleError(RunError):
    """A rule of the application (a guard, check, condition, preview, policy or `decide`) raised, or returned neither yes nor no.

    A run turns it into a denial and continues; it is raised only if you call rules directly. Its cause is the original exception.
    """

    default_code = ErrorCode.RULE_ERROR

    def __init__(
        self,
        message: str,
        *,
        rule: str = "",
        code: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, details={**(details or {}), "rule": rule})

    @property
    def rule(self) -> str:
        """The rule, in words."""
        return str(self.details["rule"])


class ToolError(RunError):
    """An error of a tool function."""

    default_code: ClassVar[str] = ErrorCode.TOOL_FAILED


class Refused(ToolError):
    """The tool refuses the call. Raise it in the tool's body: ``raise Refused("order not found", code="order_not_found")``.

    Everything that the tool wrote through its session is rolled back. The model sees the message, so write only what the model may know.

    `code` is the tool's own code for the reason. Codes on the wire are a closed set, so the wire code is always ``refused`` and this
    one is in ``details.reason``.
    """

    default_code = ErrorCode.REFUSED

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        reason = {} if code is None else {"reason": code}
        super().__init__(message, retryable=retryable, details={**(details or {}), **reason})

    @property
    def reason(self) -> str | None:
        """The tool's own code for the refusal."""
        return cast("str | None", self.details.get("reason"))


class InvalidOutput(ToolError):
    """A tool's output does not match its contract."""

    default_code = ErrorCode.INVALID_OUTPUT


class ContextError(ToolError):
    """A tool used its `ToolContext` in a way that is not possible where it runs."""

    default_code = "context_error"


class StoreError(InterlockError):
    """The workflow store or the checkpointer's database could not do what was requested."""

    default_code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot be reached, or is locked. Nothing was written."""

    default_code: ClassVar[str] = ErrorCode.STORE_UNAVAILABLE
    default_retryable = True


class CommitUnknown(StoreUnavailable):
    """The answer to a COMMIT was lost, and it is unknown whether the transaction was committed.

    For a command, Interlock first looks in the ledger. If that is also impossible, `details` has its `idempotencyKey`:
    the same call under that key returns the stored result, or is executed now.
    """

    default_code = "commit_unknown"
    default_retryable = False
    """Under another key the call might happen twice: check first, or repeat it under the given key."""


class StoreHeld(StoreError):
    """The database was restored from a backup, and nobody has released it yet. Nothing was run or published."""

    default_code = "store_held"


class NotADatabase(StoreError):
    """The file is not a database."""

    default_code = "not_a_database"


class ReadOnlyStore(StoreError):
    """The database can be read but not written."""

    default_code = "read_only_store"


class SchemaMismatch(StoreError):
    """The tables belong to another release."""

    default_code = "schema_mismatch"


class BusError(InterlockError):
    """The message broker could not do what was requested."""

    default_code = "bus_error"


class BusUnavailable(BusError):
    """The broker is not reachable, or does not answer. The message may or may not have arrived; it keeps its id."""

    default_code = "bus_unavailable"
    default_retryable = True


class PublishRefused(BusError):
    """The broker, or a consumer in this process, refuses this message; others may be accepted."""

    default_code = "publish_refused"


# MCP


class MCPError(InterlockError):
    """An MCP server, or its lock file entry, cannot be used as requested."""

    default_code = "mcp_error"


class LockFileError(MCPError):
    """The lock file of MCP servers is missing, damaged, or lacks the requested entry. No server was contacted."""

    default_code = "lock_file_error"


class ServerUnavailable(MCPError):
    """An MCP server could not be started or reached, or rejected the request before processing it. Nothing was done."""

    default_code = "mcp_server_unavailable"
    default_retryable = True


class DefinitionMismatch(MCPError):
    """An MCP server's definition of a tool differs from the reviewed one. Nothing was sent."""

    default_code = "definition_mismatch"


class AnswerLost(MCPError):
    """A call was sent to an MCP server, but no usable answer came back: it is unknown whether it had its effect."""

    default_code = "answer_lost"
