"""Sentences and commands from plain data: what an instance waits for, what happens if nobody acts, and what a person can do."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..rules.cancelling import CANCELLING
from ..tools.explanation import ApprovalHere, AttemptHere, Explanation, NextStep, WaitHere


@dataclass(frozen=True)
class ThreadStatus:
    """The position of an instance's thread, from its checkpoints."""

    has_own: bool = False
    """Whether the instance has its own thread, on which `interlock resume` can run."""
    is_known: bool = False
    """Whether its checkpoints could be read."""
    asks: frozenset[str] = frozenset()
    """The ids of the approvals, waits and attempts of its interrupts."""
    is_on_its_way: bool = False
    """Whether a run of it is in progress, or was interrupted."""
    since: str | None = None
    """The time of its last checkpoint."""


def waits_for(one: Explanation, thread: ThreadStatus) -> str:
    """What the instance waits for, as a sentence."""
    if one.finished:
        return f"Nothing: it is over, and ended in {one.state!r}."
    parts = [*_waits_for(one, thread)]
    return (
        " ".join(parts)
        if parts
        else f"It rests in {one.state!r} until somebody says something in its thread, or proposes a call."
    )


def _waits_for(one: Explanation, thread: ThreadStatus) -> Iterator[str]:
    for attempt in one.attempts:
        if attempt.status == "unknown":
            yield f"A person has to say what became of {attempt.tool} (attempt {attempt.attempt}), which was interrupted."
        else:
            yield f"{attempt.tool} is in progress (attempt {attempt.attempt})."
    for approval in one.approvals:
        if approval.status == "requested":
            yield f"A decision on {approval.tool}, for {approval.requested_by}."
        elif approval.proposed_outside:
            yield f"{approval.tool} was {approval.status} by {approval.decided_by}, and is to be carried out."
        else:
            yield f"{_settled(approval)}, and its thread has not continued since."
    for wait in one.waits:
        yield f"{_expected(wait)}."
    if one.state == CANCELLING and not one.attempts:
        yield "What was carried out is being undone, because it is cancelled."
    if thread.is_on_its_way and not one.attempts:
        since = "" if thread.since is None else f"; its last checkpoint is of {_time(thread.since)}"
        yield f"A run of its thread is in progress, or was interrupted{since}."


def if_nobody_acts(one: Explanation, thread: ThreadStatus) -> tuple[str, ...]:
    """The effects if nobody acts, as sentences."""
    if one.finished:
        return ("Nothing more happens.",)
    found = [*_if_nobody_acts(one, thread)]
    return tuple(found) or (f"Nothing: it stays in {one.state!r} forever.",)


def _if_nobody_acts(one: Explanation, thread: ThreadStatus) -> Iterator[str]:
    if one.state == CANCELLING and not one.attempts:
        yield "The next tick continues undoing what was done; then it ends in 'cancelled'."
    for attempt in one.attempts:
        if attempt.status == "unknown":
            yield f"Nothing: it waits forever, because {attempt.tool} is never retried automatically."
        else:
            yield f"{attempt.tool} ends automatically; if its process dies, a person has to resolve its outcome, unless it is safe to repeat."
    for approval in one.approvals:
        if approval.status != "requested":
            yield _next_tick(
                one, approval.approval_id, "carries it out" if approval.proposed_outside else "resumes its thread"
            )
        elif approval.deadline is None:
            yield f"{approval.tool} waits forever: the request has no deadline."
        else:
            yield f"At {_time(approval.deadline)}, if nobody has decided on {approval.tool}, {_after(approval)}. A tick does it."
    for wait in one.waits:
        if wait.deadline is None or wait.after_deadline is None:
            yield f"It waits in {wait.state!r} forever: the wait has no deadline."
        else:
            yield f"At {_time(wait.deadline)} it continues to {wait.after_deadline!r}. A tick does it."
    if thread.is_on_its_way and not one.attempts and not one.approvals:
        yield "An interrupted run is not resumed automatically: someone has to resume its thread."


def _next_tick(one: Explanation, stop_id: str, does: str) -> str:
    failed = next((tried for tried in one.failed_tries if tried.id == stop_id), None)
    if failed is None:
        return f"The next tick {does}."
    times = "once" if failed.attempts == 1 else f"{failed.attempts} times"
    return f"A tick {does}; that failed {times}, the last time with {failed.error}, and is tried again at {_time(failed.next_attempt_at)}."


def next_steps(one: Explanation, thread: ThreadStatus) -> tuple[NextStep, ...]:
    """The actions that a person can take now, as commands."""
    return tuple(_next_steps(one, thread))


def _next_steps(one: Explanation, thread: ThreadStatus) -> Iterator[NextStep]:
    for attempt in one.attempts:
        if attempt.status == "unknown":
            yield from _resolving(one, attempt)
    for approval in one.approvals:
        if approval.status == "requested":
            yield from _deciding(one, approval, resumes=thread.has_own or approval.proposed_outside)
    settled = [approval for approval in one.approvals if approval.status != "requested"]
    stands = thread.is_on_its_way or any(not approval.proposed_outside for approval in settled)
    if stands and thread.has_own:
        yield _step("Resume its thread.", "resume", one.workflow_id)
    if any(approval.proposed_outside for approval in settled) or (settled and not thread.has_own):
        yield _step("Take up what is settled or overdue.", "tick")
    for wait in one.waits:
        if wait.expects:
            yield _step(f"Look whether {wait.expects[0]} came in.", "events", "list", "--box", "in")
    yield _step("See everything that happened.", "audit", one.workflow_id)


def _deciding(one: Explanation, approval: ApprovalHere, *, resumes: bool) -> Iterator[NextStep]:
    role = [] if approval.role is None else ["--role", approval.role]
    whom = [one.served or "WHO"] if approval.kind == "confirmation" else ["WHO"]
    tenant = [] if one.tenant == "default" else ["--tenant", one.tenant]
    more = ["--as", *whom, *role, *tenant, *(["--resume"] if resumes else [])]
    yield _step("See exactly what would run.", "approvals", "show", approval.approval_id)
    yield _step(f"Approve {approval.tool}, as somebody who may.", "approvals", "approve", approval.approval_id, *more)
    yield _step("Or reject it.", "approvals", "reject", approval.approval_id, *more, "-m", "WHY")


def _resolving(one: Explanation, attempt: AttemptHere) -> Iterator[NextStep]:
    own = one.workflow_id, "--attempt", str(attempt.attempt)
    tenant = [] if one.tenant == "default" else ["--tenant", one.tenant]
    more = [*own, "--as", "WHO", *tenant, "--resume"]
    yield _step(
        f"Once you know that {attempt.tool} happened, and what it answered:", "resolve", *more, "--happened", "JSON"
    )
    yield _step("Or that it did not, and is to be tried again:", "resolve", *more, "--retry")
    yield _step("Or that it did not, and is not to be tried again:", "resolve", *more, "--failed")


def _step(what: str, *arguments: str) -> NextStep:
    return NextStep(what=what, command=shlex.join(["interlock", *arguments]))


def _settled(approval: ApprovalHere) -> str:
    by = "" if approval.decided_by == "nobody" else f" by {approval.decided_by}"
    word = {"responded": "answered", "void": "void", "expired": "out of time"}.get(approval.status, approval.status)
    verb = "is" if approval.status in {"void", "expired"} else "was"
    return f"The request for {approval.tool} {verb} {word}{by}"


def _expected(wait: WaitHere) -> str:
    if not wait.expects:
        return f"The deadline of {wait.state!r}"
    progress = "" if wait.needed == 1 and not wait.settled else f" ({wait.settled} of {wait.needed} came)"
    return f"{', '.join(wait.expects)}{progress}, since {_time(wait.since)}"


def _after(approval: ApprovalHere) -> str:
    words = approval.after_deadline or "reject"
    if words.startswith("call "):
        return f"{words.removeprefix('call ').removesuffix(' instead')} is called instead"
    return f"{words.removeprefix('ask ')} is asked" if words.startswith("ask ") else "the request is rejected"


def _time(text: str) -> str:
    """Format a time for people, to the second."""
    return f"{text[:10]} {text[11:19]} UTC"


__all__ = ["ThreadStatus", "if_nobody_acts", "next_steps", "waits_for"]
