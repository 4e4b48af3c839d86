"""Every error that Interlock raises, by the phase in which it is raised.

::

    InterlockError
    ├── DefinitionError             while tools are defined
    │   ├── ContractError             a tool or event contract is unclear
    │   └── RegistryError             contracts do not go together
    ├── WorkflowDefinitionError     while a workflow is built or compiled
    │   └── ClaimError                a claim about it is unclear, or does not hold
    ├── RunError                    while a workflow runs
    │   ├── InputError                what the caller or the model gave cannot be used
    │   │   ├── InvalidInput            the input of a run
    │   │   ├── InvalidArguments        the arguments of a tool call
    │   │   ├── NotJson                 a value that has no JSON form
    │   │   ├── MissingThreadId
    │   │   ├── DurabilityError         a command would run ahead of its checkpoint
    │   │   ├── PrincipalError          who acts is not said in a usable way
    │   │   └── ResumeError             there is nothing to resume, or not this
    │   │       └── InvalidResume         the payload has a wrong shape
    │   ├── ConflictError             retryable: somebody else was first
    │   │   ├── RevisionConflict        the instance moved
    │   │   │   └── LeaseLost             this runner was away too long, and another one took over
    │   │   └── InProgress              the same command still runs
    │   ├── IdempotencyError          one key, two different commands
    │   ├── OutcomeUnknown            an attempt broke off in mid-effect
    │   ├── StaleCheckpoint           time travel behind the instance
    │   ├── WorkflowFinished          nothing may follow a final state
    │   ├── UnknownState              retryable: the stored state is not in this definition
    │   ├── DefinitionChanged         retryable: the instance cannot go on under this definition
    │   ├── RuleError                 a rule of the application's own broke
    │   └── ToolError                 a tool function, its own doing
    │       ├── Refused                 the tool's own no
    │       ├── InvalidOutput           it returned what its contract does not promise
    │       └── ContextError            it used its ToolContext in a way that is not possible
    ├── StoreError                  the database
    │   ├── StoreUnavailable          retryable: not reached, or locked
    │   │   └── CommitUnknown           the answer to a COMMIT was lost
    │   ├── StoreHeld                 a backup was restored, and nobody has said yet that work may go on
    │   ├── NotADatabase
    │   ├── ReadOnlyStore
    │   └── SchemaMismatch            tables of another release
    ├── BusError                    the message broker
    │   ├── BusUnavailable            retryable: not reached, or no answer
    │   └── PublishRefused            it will not take this message
    └── MCPError                    a server of the Model Context Protocol
        ├── LockFileError             the lock file is missing, damaged, or does not have the server
        ├── ServerUnavailable         retryable: not started or not reached, and nothing was sent
        ├── DefinitionMismatch        it publishes other tools than were reviewed, and nothing was sent
        └── AnswerLost                a call was sent, and whether it had its effect is not known

Each has a message that says what happened, where things stand and what to do; a `code` for programs; `retryable`; and plain `details`.
"""

# ruff: noqa: N818 -- the name says what happened; the suffix Error is for the branches of the tree
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, cast

from .codes import ErrorCode


class InterlockError(Exception):
    """The root of all errors of Interlock."""

    default_code: ClassVar[str] = "interlock_error"
    """The `code` of instances of this class unless they are given another."""
    default_retryable: ClassVar[bool] = False

    code: str
    """What happened, for programs. Errors that also go over the wire use a member of `ErrorCode`."""
    retryable: bool
    """Whether the same call may succeed later without anything being changed about it."""
    details: dict[str, Any]
    """More, as plain JSON data."""

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
        """What happened, where things stand and what to do."""
        return str(self.args[0])


class DefinitionError(InterlockError):
    """A tool is defined in a way that cannot work."""

    default_code = "definition_error"


class ContractError(DefinitionError):
    """A tool or event contract is unclear; the message says which function, what is wrong and how to mend it."""

    default_code = "contract_error"


class RegistryError(DefinitionError):
    """Contracts that do not go together, such as two that claim one name."""

    default_code = "registry_error"


class WorkflowDefinitionError(InterlockError):
    """A workflow is built in a way that cannot work; the message names the place."""

    default_code = "workflow_definition_error"


class ClaimError(WorkflowDefinitionError):
    """A claim about a workflow is unclear, or does not hold; the message has the path that breaks it."""

    default_code = "claim_error"


class RunError(InterlockError):
    """A run of a workflow could not do what was asked."""

    default_code = "run_error"


class InputError(RunError):
    """What the caller or the model gave cannot be used. Nothing was done."""

    default_code = "input_error"


class InvalidInput(InputError):
    """The input of a run has a wrong shape."""

    default_code = "invalid_input"


class Problem(TypedDict):
    """One thing that is wrong with the arguments of a call."""

    field: str
    """Its path on the wire, such as ``address.zipCode`` or ``items.0``; empty for the arguments as a whole."""
    problem: str
    """What is wrong with it."""


class InvalidArguments(InputError):
    """The arguments of a tool call do not fit its contract."""

    default_code = ErrorCode.INVALID_ARGUMENTS

    tool: str | None
    """The canonical name of the tool. The message does not say it: a model reads that, and knows the tool by another name."""

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
        """What is wrong, field by field."""
        return cast("list[Problem]", self.details["problems"])


class NotJson(InputError):
    """A value that has no JSON form where one is needed."""

    default_code = "not_json"


class MissingThreadId(InputError):
    """The config names no thread, and so no workflow instance."""

    default_code = "missing_thread_id"


class DurabilityError(InputError):
    """Under the chosen durability a command would run ahead of its checkpoint."""

    default_code = "durability_error"


class PrincipalError(InputError):
    """Who acts is not said in a usable way."""

    default_code = "principal_error"


class ResumeError(InputError):
    """There is nothing to resume, or the answer is for something else."""

    default_code = "resume_error"


class InvalidResume(ResumeError):
    """A resume payload of a wrong shape."""

    default_code = "invalid_resume"


class ConflictError(RunError):
    """Somebody else was first. Look again, then try again."""

    default_code = ErrorCode.CONFLICT
    default_retryable = True


class RevisionConflict(ConflictError):
    """The workflow instance moved between being read and being written."""


class InProgress(ConflictError):
    """The same command is still running elsewhere."""

    default_code = ErrorCode.IN_PROGRESS


class LeaseLost(RevisionConflict):
    """This runner was away for longer than its lease, and another one took over; it writes nothing more."""


class IdempotencyError(RunError):
    """The same idempotency key with another tool or other arguments."""

    default_code = ErrorCode.IDEMPOTENCY_MISMATCH


class OutcomeUnknown(RunError):
    """An attempt broke off and nobody knows whether its effect happened; a person has to resolve it."""

    default_code = ErrorCode.OUTCOME_UNKNOWN


class StaleCheckpoint(RunError):
    """A run from a checkpoint older than the workflow instance (time travel)."""

    default_code = ErrorCode.STALE_CHECKPOINT


class WorkflowFinished(RunError):
    """The workflow instance is in a final state."""

    default_code = ErrorCode.WORKFLOW_FINISHED


class UnknownState(RunError):
    """The stored state of the instance is not in this definition of the workflow; it may be in that of another release."""

    default_code = "unknown_state"
    default_retryable = True


class DefinitionChanged(RunError):
    """The instance cannot simply go on under this definition; the process of another release may be able to run it."""

    default_code = "definition_changed"
    default_retryable = True


class RuleError(RunError):
    """A rule of the application's own (a guard, check, condition, preview, policy or `decide`) raised, or answered neither yes nor no.

    A run answers it with a denial and goes on; it is raised only where rules are asked directly. Its cause is what the rule raised.
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
        """Which rule it is, in words."""
        return str(self.details["rule"])


class ToolError(RunError):
    """Something that a tool function did."""

    default_code: ClassVar[str] = ErrorCode.TOOL_FAILED


class Refused(ToolError):
    """The tool's own no, to be raised in its body: ``raise Refused("order not found", code="order_not_found")``.

    Nothing is kept of what the tool wrote through its session, and the model is told the message, so it says what the model may know.

    `code` is the tool's own word for the reason. Codes on the wire are a closed set, so there the code is always ``refused`` and this
    one is found as ``details.reason``.
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
        """The tool's own code for why it said no."""
        return cast("str | None", self.details.get("reason"))


class InvalidOutput(ToolError):
    """A tool returned what its contract does not promise."""

    default_code = ErrorCode.INVALID_OUTPUT


class ContextError(ToolError):
    """A tool used its `ToolContext` in a way that is not possible where it runs."""

    default_code = "context_error"


class StoreError(InterlockError):
    """The workflow store or the checkpointer's database could not do what was asked."""

    default_code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot be reached, or is locked. Nothing was written."""

    default_code: ClassVar[str] = ErrorCode.STORE_UNAVAILABLE
    default_retryable = True


class CommitUnknown(StoreUnavailable):
    """The answer to a COMMIT was lost: whether the transaction was kept is not known.

    A command is looked up in the ledger before this is raised. Where that could not be done either, `details` has its `idempotencyKey`:
    the same call under that key gives the stored result, or is carried out now.
    """

    default_code = "commit_unknown"
    default_retryable = False
    """Done again under another key it may happen twice: look first, or repeat it under the key that is given."""


class StoreHeld(StoreError):
    """The database was restored from a backup, and nobody has said yet that work may go on. Nothing was run or published."""

    default_code = "store_held"


class NotADatabase(StoreError):
    """The file is not a database."""

    default_code = "not_a_database"


class ReadOnlyStore(StoreError):
    """The database can be read but not written."""

    default_code = "read_only_store"


class SchemaMismatch(StoreError):
    """The tables are those of another release."""

    default_code = "schema_mismatch"


class BusError(InterlockError):
    """The message broker could not do what was asked."""

    default_code = "bus_error"


class BusUnavailable(BusError):
    """The broker cannot be reached, or does not answer. The message may or may not have arrived; it keeps its id."""

    default_code = "bus_unavailable"
    default_retryable = True


class PublishRefused(BusError):
    """The broker, or a consumer in this process, will not take this message; others may go through."""

    default_code = "publish_refused"


# MCP


class MCPError(InterlockError):
    """A server of the Model Context Protocol, or what is on record of it, cannot be used as asked."""

    default_code = "mcp_error"


class LockFileError(MCPError):
    """The lock file of MCP servers is missing, damaged, or does not have what is asked for. No server was reached."""

    default_code = "lock_file_error"


class ServerUnavailable(MCPError):
    """An MCP server could not be started or reached, or refused the request before it looked at it. Nothing was done."""

    default_code = "mcp_server_unavailable"
    default_retryable = True


class DefinitionMismatch(MCPError):
    """An MCP server publishes another definition of a tool than the one that was reviewed. Nothing was sent."""

    default_code = "definition_mismatch"


class AnswerLost(MCPError):
    """A call was sent to an MCP server, and no usable answer came back: whether it had its effect is not known."""

    default_code = "answer_lost"
