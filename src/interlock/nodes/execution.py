"""The nodes that execute proposals: one per edge to another state, and one per state for its reads."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import LedgerEntry
from ..checkpointing.store import instances as instance_rows
from ..checkpointing.store.instances import HEAD
from ..commands.execution.commands import Broken, Commands, Outcome
from ..commands.execution.resolution import Resolution, parse_resolution, resolve
from ..commands.running.access import note_denial, why_not_run
from ..commands.running.checkpoint_lookup import Saved, looking_at
from ..commands.running.engine import Engine
from ..commands.running.operations import Await, InStore, Steps
from ..commands.running.scope import Scope
from ..rules.proposals import Proposal
from ..tools.canonical import JsonObject
from ..tools.errors import ConflictError, DurabilityError, InputError, PrincipalError, StoreUnavailable
from ..tools.kinds import ToolKind
from ..tools.principal import Principal
from ..tools.redaction import Secrets
from .base import WorkflowNode
from .streaming import outcome_event

OUTCOME_UNKNOWN = "outcome_unknown"
"""The type of the interrupt that asks for the outcome of an attempt."""
CHECKPOINT_SECONDS = 30.0
"""How long a command waits for its checkpoint when checkpoints are written in the background."""


def handed_over(proposal: Proposal, head: str | None, **more: Any) -> JsonObject:
    """The input with which the execution node receives a proposal."""
    return {"proposal": proposal.to_json(), "head": head, **more}


class ExecutionNode(WorkflowNode):
    """Executes the proposal that it receives, and continues to the workflow's new state.

    Args:
        engine: The engine that all nodes of the graph share.
        name: The node's name.
        source: The state to which it belongs.
        destinations: The nodes that may follow.
        edge_node: Its name, if it executes one edge to another state; None if it executes the reads of a state.
    """

    def __init__(
        self, engine: Engine, name: str, source: str, destinations: Mapping[str, str], *, edge_node: str | None
    ) -> None:
        super().__init__(engine, name, destinations)
        self.source = source
        self._edge_node = edge_node

    def steps(self, value: Any, scope: Scope) -> Steps[Command[str]]:
        """Execute the proposal."""
        proposal = Proposal.from_json(value["proposal"])
        contract = self.engine.definition.contracts.get(proposal.tool)
        if contract is not None and contract.kind is not ToolKind.READ:
            yield from until_checkpointed(scope, proposal.tool)
        commands = Commands(self.engine, scope, node=self._edge_node, head=value.get("head"))
        problem: str | None = None
        while isinstance(outcome := (yield from commands.carry_out(proposal)), Broken):
            # A resolution is usually in SQL before the graph resumes, and the next round finds it; only a parent graph passes an answer.
            answer = interrupt(unknown_payload(outcome.entry, problem or outcome.advice))
            problem = yield from self._take(answer, outcome.entry, scope)
        scope.emit(streamed(self.engine, proposal, outcome))
        state = outcome.instance.state
        return Command(
            update=(yield from answered(self.engine, proposal, outcome)),
            goto=state if state in self.destinations else self.source,
        )

    def _take(self, answer: Any, entry: LedgerEntry, scope: Scope) -> Steps[str | None]:
        """Resolve an attempt by an answer; returns the problem of an unusable answer, for the next interrupt.

        When this node runs again, LangGraph replays the same answers, so each must name its attempt.
        """
        try:
            resolution = parse_resolution(answer)
            if resolution.attempt is None:
                return f'Say which attempt is meant: add "attempt": {entry.attempt} to the answer.'
            yield InStore(lambda connection: self._resolve(connection, entry, resolution, scope.principal))
        except PrincipalError as error:
            refused = error
            yield InStore(
                lambda connection: note_denial(self.engine, connection, entry.workflow_id, refused, by=scope.principal)
            )
            return error.message
        except (InputError, ConflictError) as error:
            return error.message
        return None

    def _resolve(self, connection: Connection, entry: LedgerEntry, resolution: Resolution, by: Principal) -> None:
        """Resolve an attempt if the principal may run the instance: no entrance has checked who answers.

        Raises:
            PrincipalError: The principal may not.
        """
        instance = instance_rows.load(connection, entry.workflow_id)
        if instance is not None and (refused := why_not_run(self.engine, instance, by)) is not None:
            raise refused
        resolve(self.engine, connection, entry.workflow_id, entry.idempotency_key, resolution, by=by)


def until_checkpointed(scope: Scope, tool: str) -> Steps[None]:
    """Wait until the command's checkpoint is persisted, so that the command never runs before it.

    Raises:
        DurabilityError: The durability `exit` writes no such checkpoint.
        StoreUnavailable: The checkpoint was not persisted in time.
    """
    if scope.durability == "sync" or scope.checkpointer is None or scope.thread_id is None:
        return
    if scope.durability == "exit":
        raise DurabilityError(
            f"{tool} was to run under the durability 'exit', which writes no checkpoint before the run ends: "
            "after a crash it would be unknown that it ran. Nothing was done. Run the workflow with durability='sync' (its default) or 'async'."
        )
    saver, thread = scope.checkpointer, scope.thread_id
    for namespace, checkpoint in {"": scope.root_checkpoint, scope.namespace: scope.own_checkpoint}.items():
        if checkpoint is not None:
            config = looking_at(thread, namespace, checkpoint)
            yield Await(
                partial(_is_there, saver, config),
                CHECKPOINT_SECONDS,
                lambda: StoreUnavailable(
                    f"The checkpoint before {tool} was not persisted within {CHECKPOINT_SECONDS:.0f} s, so the command did not run. "
                    "Look after the checkpointer's database, then resume the thread."
                ),
            )


def _is_there(saver: Saved, config: RunnableConfig) -> bool:
    return saver.get_tuple(config) is not None


def answered(engine: Engine, proposal: Proposal, outcome: Outcome) -> Steps[dict[str, Any]]:
    """The channel updates for an outcome: the answer in the conversation, a copy of the row, and the progress."""
    channels = yield from engine.shown(outcome.instance, proposal.requester)
    return {
        "messages": [_with_artifact(engine.answer(proposal, outcome.result), outcome)],
        "last_result": outcome.result,
        "progress": [
            (
                "done",
                {
                    "key": proposal.key,
                    "ok": outcome.ok,
                    "head": _head_mark(outcome),
                },
            )
        ],
        **channels,
    }


def _with_artifact(message: ToolMessage, outcome: Outcome) -> ToolMessage:
    return message if outcome.artifact is None else message.model_copy(update={"artifact": outcome.artifact})


def _head_mark(outcome: Outcome) -> str | None:
    instance = outcome.instance
    return None if outcome.head is None else instance.seal.mark(HEAD, instance.workflow_id, outcome.head)


def answered_all(engine: Engine, proposals: Sequence[Proposal], outcomes: Sequence[Outcome]) -> Steps[dict[str, Any]]:
    """As `answered`, for one or more proposals that were answered together."""
    updates = []
    for pair in zip(proposals, outcomes, strict=True):
        updates.append((yield from answered(engine, *pair)))
    together = {name: [item for update in updates for item in update[name]] for name in ("messages", "progress")}
    return {**updates[-1], **together}


_THEIRS = frozenset({"output", "error"})
"""The keys of a result whose values come from tools and rules; the values of the others come from Interlock."""


def streamed(engine: Engine, proposal: Proposal, outcome: Outcome) -> JsonObject:
    """The outcome for consumers of the stream mode `custom`, without values of sensitive fields; sent after the commit."""
    contract = engine.definition.contracts.get(proposal.tool)
    sensitive = engine.definition.sensitive if contract is None else contract.sensitive
    secrets = Secrets()
    secrets.learn_from(proposal.arguments, sensitive)
    theirs: JsonObject = {name: value for name, value in outcome.result.items() if name in _THEIRS}
    result = outcome.result | cast("JsonObject", secrets.redacted(theirs, sensitive))
    return outcome_event(proposal.tool, result, replayed=outcome.replayed)


def unknown_payload(entry: LedgerEntry, problem: str | None = None) -> JsonObject:
    """The interrupt payload that asks a person for the outcome of an attempt."""
    return {
        "type": OUTCOME_UNKNOWN,
        "schemaVersion": 1,
        "workflowId": entry.workflow_id,
        "key": entry.idempotency_key,
        "tool": entry.tool,
        "attempt": entry.attempt,
        "arguments": entry.arguments,
        "requestedBy": entry.principal_id,
        "auditRef": entry.audit_ref,
        "answers": [
            {"type": "happened", "output": None, "attempt": entry.attempt},
            {"type": "retry", "attempt": entry.attempt},
            {"type": "failed", "note": None, "attempt": entry.attempt},
        ],
        "problem": problem,
        "description": f"An attempt of {entry.tool} was interrupted. Find out whether it happened, and "
        "resolve it: it happened with this result, or it did not, try again.",
    }
