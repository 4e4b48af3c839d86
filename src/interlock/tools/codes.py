"""The codes of errors on the wire: a closed set."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a proposal or a command was answered with an error.

    "Retryable" means that the same call may succeed later without anything being changed about it. The `retryable`
    flag of each answer is what counts; what is said here is its usual value.
    """

    TOOL_NOT_ALLOWED = "tool_not_allowed"
    """The tool exists, but no edge out of the current state carries it, or it was not offered. Not retryable: choose
    a next allowed tool."""
    NOT_PROPOSED = "not_proposed"
    """The call was not made by the workflow's model, or is not what it was then. Not retryable: it is to be proposed."""
    UNKNOWN_TOOL = "unknown_tool"
    """The workflow knows no tool of this name. Not retryable: choose a next allowed tool."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """The arguments do not fit the contract; `details.problems` names each field. Not retryable as they are: mend the
    arguments."""
    GUARD_FAILED = "guard_failed"
    """The edge is there, but its guard does not hold for the state, data and principal. Not retryable until one of
    them changes."""
    CHECK_FAILED = "check_failed"
    """The check over the arguments and the system of record does not hold; the message says why. Not retryable until
    either changes."""
    POLICY_DENIED = "policy_denied"
    """A policy denies the proposal; `details.policy` names it. Not retryable, save where the policy says when (limits
    per period)."""
    RULE_ERROR = "rule_error"
    """A rule of the application (guard, check, condition, preview, policy) raised, or answered neither yes nor no;
    `details.rule` names it. Nothing was done, and what it wrote was rolled back. Not retryable until it is mended."""
    TOO_MANY_CALLS = "too_many_calls"
    """The message holds more calls than the workflow takes at once, and this one came after them. Retryable: call it
    again in a message of its own."""
    APPROVAL_REQUIRED = "approval_required"
    """Another person has to decide first, and there is no way to ask within this call. Not retryable until it was
    decided."""
    APPROVAL_REJECTED = "approval_rejected"
    """A person said no; the message carries the reason given. Not retryable: propose something else."""
    APPROVAL_EXPIRED = "approval_expired"
    """Nobody decided before the deadline. Not retryable: a new proposal asks again."""
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    """Whoever proposed it withdrew it before it was carried out. Not retryable: propose it anew if it is wanted again."""
    APPROVAL_VOID = "approval_void"
    """What was approved is no longer what would run (arguments, state, policy or preview differ). Not retryable: a
    new proposal asks again."""
    REFUSED = "refused"
    """The tool said no (`Refused`); `details.reason` carries the tool's own code when it gave one. Retryable only
    when the tool says so."""
    TOOL_FAILED = "tool_failed"
    """The tool broke with an unexpected exception; nothing of it was kept where the effect is transactional. Not
    retryable by default."""
    TIMEOUT = "timeout"
    """The tool did not answer within its contract's timeout, and its effect makes that safe to say. Retryable."""
    INVALID_OUTPUT = "invalid_output"
    """The tool returned what its contract does not promise: a defect of the tool. Not retryable."""
    CONFLICT = "conflict"
    """Another runner moved the workflow first. Retryable: look at the new state, then propose again."""
    IN_PROGRESS = "in_progress"
    """The same command is still running elsewhere. Retryable: its stored result is given once it is there."""
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    """The idempotency key was used for another tool or other arguments. Not retryable: use a new key."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """An attempt broke off and nobody knows whether its effect happened. Not retryable: a person resolves it first."""
    WORKFLOW_FINISHED = "workflow_finished"
    """The workflow instance is in a final state. Not retryable: start a new one."""
    STALE_CHECKPOINT = "stale_checkpoint"
    """The run goes on from a checkpoint older than the workflow instance. Not retryable: continue from the head, or
    fork."""
    SUPERSEDED = "superseded"
    """Left over: an earlier proposal of the same message moved the workflow on. Not retryable as it is: propose again
    in the new state."""
    LIMIT_REACHED = "limit_reached"
    """A bound on proposals, denials or steps was reached; the workflow stopped and can be resumed. Not retryable
    within the same run; from outside the graph it is, after `details.seconds`."""
    STORE_UNAVAILABLE = "store_unavailable"
    """The workflow store cannot be reached or is locked; nothing was written. Retryable."""
