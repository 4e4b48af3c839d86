"""The codes of errors on the wire: a closed set."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a proposal or a command was answered with an error.

    "Retryable" means that the same call may succeed later without changes. The `retryable` flag of each answer is
    authoritative; the descriptions below give its usual value.
    """

    TOOL_NOT_ALLOWED = "tool_not_allowed"
    """The tool exists, but no edge out of the current state has it, or it was not offered. Not retryable: choose
    a next allowed tool."""
    NOT_PROPOSED = "not_proposed"
    """The workflow's model did not make this call, or the call has changed since. Not retryable: propose it."""
    UNKNOWN_TOOL = "unknown_tool"
    """The workflow has no tool of this name. Not retryable: choose a next allowed tool."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """The arguments do not match the contract; `details.problems` lists each field. Not retryable: correct the
    arguments."""
    GUARD_FAILED = "guard_failed"
    """The edge exists, but its guard does not pass for the state, data and principal. Not retryable until one of
    them changes."""
    CHECK_FAILED = "check_failed"
    """The check of the arguments and the system of record failed; the message says why. Not retryable until
    either changes."""
    POLICY_DENIED = "policy_denied"
    """A policy denies the proposal; `details.policy` names it. Not retryable, unless the policy says when (limits
    per period)."""
    RULE_ERROR = "rule_error"
    """A rule of the application (guard, check, condition, preview, policy) raised, or returned neither yes nor no;
    `details.rule` names it. Nothing was done, and its writes were rolled back. Not retryable until the rule is fixed."""
    TOO_MANY_CALLS = "too_many_calls"
    """The message contains more calls than the workflow accepts at once, and this call exceeded the limit. Retryable:
    repeat it in a separate message."""
    APPROVAL_REQUIRED = "approval_required"
    """Another person has to decide first, and this call cannot request the decision. Not retryable until the decision
    was made."""
    APPROVAL_REJECTED = "approval_rejected"
    """A person rejected the call; the message contains the reason. Not retryable: propose something else."""
    APPROVAL_EXPIRED = "approval_expired"
    """Nobody decided before the deadline. Not retryable: propose the call again to request a new approval."""
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    """The proposer withdrew the call before it was executed. Not retryable: propose it again if it is needed."""
    APPROVAL_VOID = "approval_void"
    """The call that would run is no longer the approved one (arguments, state, policy or preview differ). Not
    retryable: propose it again to request a new approval."""
    REFUSED = "refused"
    """The tool refused the call (`Refused`); `details.reason` contains the tool's own code, if any. Retryable only
    if the tool says so."""
    TOOL_FAILED = "tool_failed"
    """The tool raised an unexpected exception; if the effect is transactional, its work was rolled back. Not
    retryable by default."""
    TIMEOUT = "timeout"
    """The tool did not answer within its contract's timeout, and its effect makes it safe to repeat. Retryable."""
    INVALID_OUTPUT = "invalid_output"
    """The tool's output does not match its contract, which is a bug in the tool. Not retryable."""
    CONFLICT = "conflict"
    """Another runner changed the workflow first. Retryable: read the new state, then propose again."""
    IN_PROGRESS = "in_progress"
    """The same command is still running elsewhere. Retryable: a later call gets its stored result."""
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    """The idempotency key was used for another tool or other arguments. Not retryable: use a new key."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """An attempt was interrupted, and it is unknown whether its effect happened. Not retryable: a person resolves
    it first."""
    WORKFLOW_FINISHED = "workflow_finished"
    """The workflow instance is in a final state. Not retryable: start a new one."""
    STALE_CHECKPOINT = "stale_checkpoint"
    """The run continues from a checkpoint older than the workflow instance. Not retryable: continue from the head, or
    fork."""
    SUPERSEDED = "superseded"
    """An earlier proposal of the same message moved the workflow on before this one was executed. Not retryable:
    propose it again in the new state."""
    LIMIT_REACHED = "limit_reached"
    """A limit on proposals, denials or steps was reached; the workflow stopped and can be resumed. Not retryable
    within the same run; from outside the graph, retryable after `details.seconds`."""
    STORE_UNAVAILABLE = "store_unavailable"
    """The workflow store is unreachable or locked; nothing was written. Retryable."""
