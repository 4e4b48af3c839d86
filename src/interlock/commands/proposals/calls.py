"""One call from outside the graph: its principal, its idempotency key, and the comparison with an earlier call of this key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...checkpointing.identifiers import named
from ...checkpointing.store import ApprovalRequest, Instance
from ...rules.definition import Definition
from ...rules.proposals import Proposal
from ...tools.canonical import same_json, to_json
from ...tools.contracts import ToolContract
from ...tools.errors import IdempotencyError, InputError, NotJson
from ...tools.ids import derive, mint
from ...tools.kinds import ToolKind
from ...tools.principal import Principal
from ...tools.trace_reference import current_trace


@dataclass(frozen=True)
class Call:
    """A call.

    Attributes:
        workflow_id: The instance.
        tool: Its canonical name, or its wire name.
        arguments: In wire form; not yet validated.
        principal: The caller.
        key: The caller's own idempotency key.
        revision: The revision on which the caller's decision is based.
        asks: Whether a required decision is requested. Otherwise such a call is denied, and a command needs neither key nor revision.
    """

    workflow_id: str
    tool: str
    arguments: Mapping[str, Any]
    principal: Principal
    key: str | None = None
    revision: int | None = None
    asks: bool = True

    def contract(self, definition: Definition) -> ToolContract | None:
        """The tool's contract; None if the workflow has no such tool."""
        found = definition.contracts.get(self.tool)
        return found or definition.contracts.get(definition.wire_names.to_canonical(self.tool) or "")

    def idempotency_key(self, contract: ToolContract | None) -> str:
        """The idempotency key: the caller's own, or one derived from caller, call and revision.

        Raises:
            InputError: The key cannot be stored, or a command has neither key nor revision.
        """
        if self.key is not None:
            return named("key", self.key, 128)
        if self.revision is not None:
            try:
                arguments = to_json(dict(self.arguments))
            except NotJson:
                return mint("key")  # the gate reports their problem; nothing is stored under the key
            tool, by = self.tool if contract is None else contract.name, self.principal
            return derive("key", "door", self.workflow_id, by.tenant, by.id, tool, arguments, self.revision)
        if self.asks and contract is not None and contract.kind is not ToolKind.READ:
            raise InputError(
                f"{contract.name} was proposed with neither a key nor a revision, so "
                "after a lost answer you could not repeat it without doing it twice. Nothing was "
                "done. Pass key= (your own id for this call), or revision= (of the snapshot or the "
                "result on which you based the decision), and pass the same again when you repeat the "
                "call.",
                code="key_required",
                details={"workflowId": self.workflow_id, "tool": contract.name},
            )
        return mint("key")

    def proposal(self, instance: Instance, key: str, contract: ToolContract | None) -> Proposal:
        """The proposal for the gate."""
        return Proposal(
            key=key,
            message_key=mint("msg"),
            tool=self.tool if contract is None else contract.name,
            arguments=dict(self.arguments),
            call_id="",
            requester=self.principal,
            offered=True,
            state=instance.state,
            revision=instance.revision,
            trace=current_trace.get(),
        )


def check_same(approval: ApprovalRequest, proposal: Proposal, contract: ToolContract | None) -> None:
    """Check that a call equals the requested one of its key.

    Raises:
        IdempotencyError: Its tool or its arguments differ.
    """
    if approval.tool == proposal.tool and (contract is None or _are_same(approval, proposal, contract)):
        return  # the gate reports a missing tool
    raise IdempotencyError(
        f"The idempotency key {proposal.key} was used for {approval.tool} with other arguments, which a person was asked about "
        f"({approval.approval_id}). Nothing was done; use a new key for another call.",
        details={"workflowId": approval.workflow_id, "tool": approval.tool, "proposalId": approval.approval_id},
    )


def _are_same(approval: ApprovalRequest, proposal: Proposal, contract: ToolContract) -> bool:
    try:
        bound = contract.bind_again(proposal.arguments, approval.arguments)
    except Exception:  # invalid arguments cannot be the requested ones
        return False
    # Another release made the request with another fingerprint; the call is judged and compared again before it runs.
    return approval.tool_version != contract.version or same_json(bound.canonical, approval.arguments)


__all__ = ["Call", "check_same"]
