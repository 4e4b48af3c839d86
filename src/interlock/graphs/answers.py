"""Checks the answers that resume a thread, and decides approvals in SQL before LangGraph continues.

LangGraph does not report an answer for which nothing waits, and stores an answer of a wrong shape permanently. Therefore each answer is
matched to its interrupt here, and an approval is decided in one transaction; the graph then continues and finds it decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langgraph.types import Command, Interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, LedgerEntry
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import ledger as ledger_rows
from ..commands.approvals.decisions import Declined, decide, may_see, record_refused, unknown_approval
from ..commands.approvals.payload import forged_content, matches_shown
from ..commands.execution.audit_payloads import interrupted
from ..commands.execution.resolution import parse_resolution, resolve
from ..commands.running.access import Access, meant, ownership_of, why_not_resolve
from ..commands.running.entrances import is_move
from ..commands.running.proposing import take_turn
from ..commands.running.scope import CHECKPOINTER, is_nested, outside_scope, workflow_id_of
from ..nodes.execution import OUTCOME_UNKNOWN, unknown_payload
from ..operations.compiled import CompiledWorkflow
from ..operations.refusals import record_refusal
from ..tools.answers import nameless, parse_answer
from ..tools.approvals import Decision
from ..tools.canonical import same_json
from ..tools.contracts import ToolContract
from ..tools.errors import InvalidInput, InvalidResume, MissingThreadId, ResumeError
from ..tools.principal import Principal

INTERRUPT = "__interrupt__"
"""LangGraph's channel of pending interrupts."""


@dataclass(frozen=True)
class Answers:
    """Takes the answers that resume one thread."""

    graph: CompiledWorkflow
    configurable: Mapping[str, Any]
    principal: Principal
    entered: Access

    def take(self, command: Command[Any]) -> Any:
        """Decide what the command answers, and return the input with which the graph continues."""
        if is_nested(self.configurable):
            return command
        config = self._config()
        found = {} if self.entered.is_foreign else self._interrupts(self._saver().get_tuple(config))
        return self._decided(command, found)

    async def atake(self, command: Command[Any]) -> Any:
        """Asynchronous form of `take`, with the same arguments, result and errors."""
        if is_nested(self.configurable):
            return command
        config = self._config()
        found = {} if self.entered.is_foreign else self._interrupts(await self._saver().aget_tuple(config))
        return await self.graph.engine.store.database.arun(lambda: self._decided(command, found))

    def _saver(self) -> Any:
        return self.configurable.get(CHECKPOINTER) or self.graph.checkpointer

    def _config(self) -> Any:
        thread = self.configurable.get("thread_id")
        if thread is None or thread == "":
            raise MissingThreadId(
                'The workflow was resumed without a thread. Nothing was done; pass {"configurable": {"thread_id": ...}}, the one that it was started with.'
            )
        # The outermost graph has no namespace, whatever a config contains.
        wanted = {"thread_id": thread, "checkpoint_ns": ""}
        if self.configurable.get("checkpoint_id"):
            wanted["checkpoint_id"] = self.configurable["checkpoint_id"]
        return {"configurable": wanted}

    def _interrupts(self, saved: Any) -> dict[str, Interrupt]:
        writes = [] if saved is None else saved.pending_writes or []
        done = {task for task, channel, _ in writes if channel not in {INTERRUPT, "__error__", "__resume__"}}
        found: dict[str, Interrupt] = {}
        for task, channel, value in writes:
            if channel == INTERRUPT and task not in done:
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    found[one.id] = one
        return found

    def _decided(self, command: Command[Any], found: dict[str, Interrupt]) -> Any:
        if is_move(command):
            error = InvalidInput(
                "A workflow is moved by its tools, not by Command(goto=...) or Command(update=...) of its channels. Nothing was done; resume it with "
                "Command(resume=...), or send messages."
            )
            update = command.update if isinstance(command.update, Mapping) else {}
            record_refusal(
                self.graph.engine,
                self.configurable,
                error,
                by=self.principal,
                goto=_places(command.goto),
                channels=sorted(map(str, update)),
            )
            raise error
        if command.update is not None:
            self._take_turn()
        if command.resume is None and command.update is not None:
            return command
        try:
            self._check_waiting(found)
            if command.resume is None:
                raise InvalidResume(
                    f"Command(resume=None) answers nothing. Nothing was decided; the thread waits for {_waiting(found)}. Resume it with an answer, or "
                    "run it on with invoke(None, config)."
                )
            decisions, left = self._read(self._by_interrupt(command.resume, found), found, command.resume)
        except ResumeError as error:
            self._record_refused(error)
            if found and self.entered.refused is not None and not self._is_asked():
                raise self.entered.refused from None  # do not show a principal without access what the thread waits for
            raise
        if left and self.entered.refused is not None:
            # Only decisions are judged by their own rule; every other answer continues with the run.
            record_refusal(self.graph.engine, self.configurable, self.entered.refused, by=self.principal)
            raise self.entered.refused
        if decisions:
            self._decide(decisions)
        left = self._resolved(left, found)
        # The decision is in SQL, which the approval node reads first.
        return (
            Command(resume=left, update=command.update) if left else command.update and Command(update=command.update)
        )

    def _take_turn(self) -> None:
        """A principal who adds messages becomes the proposer; a decision alone makes nobody the proposer."""
        engine = self.graph.engine
        instance = engine.store.find(workflow_id_of(self.configurable, engine.definition.name))
        if instance is not None:
            take_turn(engine.store, instance, self.principal)

    def _resolved(self, answers: Mapping[str, Any], found: Mapping[str, Interrupt]) -> dict[str, Any]:
        """Resolve attempts of unknown outcome, each in its own transaction; return the answers that are for LangGraph.

        If LangGraph stored such an answer, a node that runs again after a crash would apply it to another attempt.
        """
        left: dict[str, Any] = {}
        for interrupt_id, answer in answers.items():
            shown = found[interrupt_id].value
            if not isinstance(shown, Mapping) or shown.get("type") != OUTCOME_UNKNOWN:
                left[interrupt_id] = answer
                continue
            resolution = replace(parse_resolution(answer), attempt=shown["attempt"])
            engine, about = self.graph.engine, (str(shown["workflowId"]), str(shown["key"]))
            tampered: InvalidResume | None = None
            self._check_resolver()
            with engine.store.write_and_know() as connection:
                entry = ledger_rows.load(connection, *about)
                if (
                    entry is not None
                    and entry.attempt == shown["attempt"]
                    and not _is_recorded_attempt(shown, entry, engine.definition.contracts.get(entry.tool))
                ):
                    tampered = _forged_attempt(entry.tool)
                    record_refused(engine, connection, entry.workflow_id, by=self.principal, error=tampered)
                else:
                    resolve(engine, connection, *about, resolution, by=self.principal)
            if tampered is not None:
                raise tampered
        return left

    def _check_resolver(self) -> None:
        """Refuse, and record, a principal who may not resolve attempts."""
        engine, instance = self.graph.engine, self.entered.instance
        refused = None if instance is None else why_not_resolve(engine, instance, self.principal)
        if refused is not None:
            record_refusal(engine, self.configurable, refused, by=self.principal)
            raise refused

    def _check_waiting(self, found: Mapping[str, Interrupt]) -> None:
        if not found:
            raise ResumeError(
                f"The thread {self.configurable.get('thread_id')!r} waits for no answer, so there is nothing to resume. Nothing was done; it may "
                "have been answered already. Look at graph.get_state(config), or send a message."
            )

    def _read(
        self, answers: Mapping[str, Any], found: Mapping[str, Interrupt], resume: Any
    ) -> tuple[list[tuple[str, Decision, Any]], dict[str, Any]]:
        """The decisions on approvals among the answers, and the answers to pass on to LangGraph."""
        decisions: list[tuple[str, Decision, Any]] = []
        left: dict[str, Any] = {}
        for interrupt_id, answer in answers.items():
            shown = found[interrupt_id].value
            kind = shown.get("type") if isinstance(shown, Mapping) else None
            if kind in {"approval", "confirmation"} and isinstance(shown.get("approvalId"), str):
                wire = self.graph.engine.definition.wire_names.get(shown["tool"], shown["tool"])
                decision = parse_answer(answer, tool=shown["tool"], wire_name=wire)
                if decision.seen is None and answer is resume:
                    _refuse_nameless(shown)
                if decision.seen is None:  # the interrupt is what the person saw, even if the request changed since
                    decision = replace(decision, seen=shown.get("arguments"))
                decisions.append((shown["approvalId"], decision, shown))
            else:
                left[interrupt_id] = answer
        return decisions, left

    def _by_interrupt(self, resume: Any, found: dict[str, Interrupt]) -> dict[str, Any]:
        by_approval = {
            interrupt.value["approvalId"]: interrupt_id
            for interrupt_id, interrupt in found.items()
            if isinstance(interrupt.value, Mapping) and "approvalId" in interrupt.value
        }
        if isinstance(resume, Mapping) and resume:
            named = {by_approval.get(str(key), str(key)): value for key, value in resume.items()}
            if named.keys() <= found.keys():
                return named
            if all(_is_id(str(key)) for key in resume):
                other = sorted(named.keys() - found.keys())
                raise ResumeError(
                    f"Nothing waits for an answer to {', '.join(other)}: it was answered already, or belongs to another thread. Nothing was done; this thread "
                    f"waits for {_waiting(found)}.",
                    details={"unknown": other, "waiting": [*found]},
                )
        if len(found) > 1:
            decisions = resume.get("decisions") if isinstance(resume, Mapping) else None
            raise ResumeError(
                f"{len(found)} things wait for an answer{' and their order is not theirs to go by' if decisions else ''}. Nothing was done; answer each by its id: "
                f"Command(resume={{id: answer, ...}}), where the ids are {_waiting(found)}.",
                details={"waiting": [*found]},
            )
        return {next(iter(found)): resume}

    def _decide(self, decisions: list[tuple[str, Decision, Any]]) -> None:
        """Make each decision separately: if one is declined, the others still count."""
        engine = self.graph.engine
        declined: list[Declined] = []
        for approval_id, decision, shown in decisions:
            with engine.store.write_and_know() as connection:
                taken = self._one(connection, approval_id, decision, shown)
            if isinstance(taken, Declined):
                declined.append(taken)
        if declined:
            error = declined[0].error
            error.details.setdefault("declined", len(declined))
            error.details.setdefault("decided", len(decisions) - len(declined))
            raise error

    def _one(
        self, connection: Connection, approval_id: str, decision: Decision, shown: Any
    ) -> ApprovalRequest | Declined:
        instance = self.entered.instance
        # Nearly always, the decision concerns this instance, which is then read once, under its lock.
        unit = None if instance is None else self.graph.engine.store.unit(connection, instance.workflow_id)
        approval = approval_rows.load_by_id(connection, approval_id)
        if approval is None:
            return Declined(unknown_approval(approval_id))
        if not matches_shown(self.graph.engine, approval, shown):
            error = forged_content(approval)
            record_refused(self.graph.engine, connection, approval.workflow_id, by=self.principal, error=error)
            return Declined(error)
        scope = outside_scope(approval.workflow_id, self.principal)
        read = (unit, approval) if unit is not None and approval.workflow_id == unit.instance.workflow_id else None
        return decide(self.graph.engine, connection, approval_id, decision, by=self.principal, scope=scope, read=read)

    def _is_asked(self) -> bool:
        """Whether one of the approvals that the thread waits for asks this principal."""
        instance = self.entered.instance
        if instance is None:
            return False
        ownership = ownership_of(self.graph.engine, instance)
        pending = self.graph.engine.store.pending_approvals(instance.workflow_id)
        return any(may_see(approval, ownership, self.principal) for approval in pending)

    def _record_refused(self, error: ResumeError) -> None:
        """Record an answer that matches nothing here, or that its principal may not give."""
        engine = self.graph.engine
        workflow_id = meant(engine, self.configurable)
        with engine.store.write() as connection:
            record_refused(engine, connection, workflow_id, by=self.principal, error=error)


def _refuse_nameless(shown: Mapping[str, Any]) -> None:
    """Refuse an answer that does not name its subject, if the rule requires that."""
    rule = shown.get("rule")
    if isinstance(rule, Mapping) and rule.get("named"):
        raise InvalidResume(nameless(shown["tool"], shown["approvalId"]), details={"waiting": [shown["approvalId"]]})


def _is_recorded_attempt(shown: Mapping[str, Any], entry: LedgerEntry, contract: ToolContract | None) -> bool:
    """Whether the attempt that the thread shows is the one in the ledger, with the same advice to the person."""
    said = [None] if contract is None else [None, interrupted(contract)]
    return any(same_json(shown, unknown_payload(entry, advice)) for advice in said)


def _forged_attempt(tool: str) -> InvalidResume:
    return InvalidResume(
        f"What the thread shows of the attempt of {tool} is not what the ledger has of it: its checkpoint was changed. Nothing was resolved. Find out who can write the "
        "checkpoints; then resume the thread, which shows what was interrupted, and answer that."
    )


def _places(goto: Any) -> list[str]:
    """The names of a command's target nodes, without the values for them."""
    return [str(getattr(one, "node", one)) for one in (goto if isinstance(goto, (list, tuple)) else [goto])]


def _is_id(key: str) -> bool:
    return key.startswith("apr_") or (len(key) == 32 and all(letter in "0123456789abcdef" for letter in key))


def _waiting(found: Mapping[str, Interrupt]) -> str:
    shown = [
        f"{interrupt_id} ({interrupt.value.get('tool') or interrupt.value.get('type')})"
        if isinstance(interrupt.value, Mapping)
        else interrupt_id
        for interrupt_id, interrupt in found.items()
    ]
    return ", ".join(shown)


__all__ = ["Answers"]
