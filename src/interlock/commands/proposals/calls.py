"""One call from outside the graph: whose it is, under which key it is made, and whether it is the call that was made before."""

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
    """A call as it was made.

    Attributes:
        workflow_id: The instance.
        tool: Its canonical name, or the name that models call it by.
        arguments: As on the wire; not yet checked.
        principal: Who makes it.
        key: The caller's own idempotency key.
        revision: The revision that the caller decided by.
        asks: Whether a person's decision is asked for where one is needed. Otherwise such a call is denied, and a command needs neither
            key nor revision.
    """

    workflow_id: str
    tool: str
    arguments: Mapping[str, Any]
    principal: Principal
    key: str | None = None
    revision: int | None = None
    asks: bool = True

    def contract(self, definition: Definition) -> ToolContract | None:
        """The tool's contract; None where the workflow has no such tool."""
        found = definition.contracts.get(self.tool)
        return found or definition.contracts.get(definition.wire_names.to_canonical(self.tool) or "")

    def idempotency_key(self, contract: ToolContract | None) -> str:
        """The key that the call is made under: the caller's, or one of who calls what at which revision.

        Raises:
            InputError: The key cannot be stored, or a command has neither key nor revision.
        """
        if self.key is not None:
            return named("key", self.key, 128)
        if self.revision is not None:
            try:
                arguments = to_json(dict(self.arguments))
            except NotJson:
                return mint("key")  # the gate says what is wrong with them; nothing is kept under the key
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
        """The call as the gate judges it."""
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
    """See that a call is the one that a person was asked about under its key.

    Raises:
        IdempotencyError: It is another tool, or has other arguments.
    """
    if approval.tool == proposal.tool and (contract is None or _are_same(approval, proposal, contract)):
        return  # the gate says what is wrong where there is no such tool any more
    raise IdempotencyError(
        f"The idempotency key {proposal.key} was used for {approval.tool} with other arguments, which a person was asked about "
        f"({approval.approval_id}). Nothing was done; use a new key for another call.",
        details={"workflowId": approval.workflow_id, "tool": approval.tool, "proposalId": approval.approval_id},
    )


def _are_same(approval: ApprovalRequest, proposal: Proposal, contract: ToolContract) -> bool:
    try:
        bound = contract.bind_again(proposal.arguments, approval.arguments)
    except Exception:  # whatever is wrong with them: they are not those that were asked about
        return False
    # Another release asked: what it called these arguments is in its record, and what runs is judged and compared again.
    return approval.tool_version != contract.version or same_json(bound.canonical, approval.arguments)


__all__ = ["Call", "check_same"]
