"""The definition and the store of one compiled workflow, shared by all code that acts on its instances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolMessage
from pydantic import JsonValue
from sqlalchemy.engine import Connection

from ...checkpointing.store import Instance, Unit, WorkflowStore
from ...rules.definition import Definition, Edge, offered_edges
from ...rules.origins.envelope import enveloped
from ...rules.origins.holding import Fields
from ...rules.proposals import PROPOSAL, Proposal, with_arguments
from ...rules.view import GuardView
from ...tools.canonical import JsonObject, canonical_json, is_same_json
from ...tools.errors import RuleError, RunError
from ...tools.model_answers import Answers, is_plain, plain_content, read_once
from ...tools.origins.contracts import output_fields
from ...tools.principal import Principal
from ...tools.sinks import logger_of
from .broken_rules import report_once
from .facts import StoredFacts, asked_apart
from .operations import Steps

logger = logger_of("interlock")


def unknown_instance(workflow_id: str, by: Principal) -> RunError:
    """The error for a missing instance, and for one of another tenant, which must look the same."""
    return RunError(
        f"There is no workflow instance {workflow_id} for the tenant {by.tenant!r}. Nothing was done; check the thread, the database and the "
        "principal of the run.",
        code="unknown_instance",
    )


@dataclass(frozen=True)
class Engine:
    """The shared objects of one compiled workflow."""

    definition: Definition
    store: WorkflowStore
    is_kept_as_meant: bool = True
    """Whether the application named a store; the in-memory default may be a mistake."""

    def view(self, instance: Instance, principal: Principal, at: Unit | Connection | None = None) -> GuardView:
        """The view for guards, with a fresh copy of the data.

        Args:
            instance: The row.
            principal: The acting principal.
            at: The transaction for lookups of rules; by default a separate one.
        """
        return GuardView(
            instance.workflow_id,
            instance.state,
            self.definition.parse_data(instance.data),
            principal,
            instance.revision,
            StoredFacts(self.store, self.definition, instance.workflow_id, at),
        )

    def offered(self, view: GuardView) -> tuple[str, ...]:
        """Next allowed tools, by canonical name."""
        if self.definition.state(view.state).is_final:
            return ()
        return tuple(edge.tool.name for edge in self.edges(view))

    def edges(self, view: GuardView, broken: dict[str, RuleError] | None = None) -> tuple[Edge, ...]:
        """The edges that may be called now, one per tool. A failed rule withholds its tool, and is logged.

        Args:
            view: The state of the instance.
            broken: Takes the tools that a failed rule withholds.
        """
        definition = self.definition
        broken = {} if broken is None else broken
        edges = offered_edges(
            definition.by_source.get(view.state, ()),
            view,
            policies=definition.policies,
            mode=definition.mode,
            broken=broken,
        )
        for error in broken.values():
            report_once(error, view)
        return edges

    def offered_for(self, at: Unit | Instance, principal: Principal) -> tuple[str, ...]:
        """Next allowed tools of an instance, by canonical name; of a unit's instance in its transaction."""
        if isinstance(at, Unit):
            return self.offered(self.view(at.instance, principal, at))
        return self.offered(self.view(at, principal))

    def may_ask(self, edge: Edge) -> bool:
        """Whether a proposal of this edge may need an approval, by the edge's rule or a policy."""
        return edge.approval is not None or any(
            policy.may_require_approval(edge.tool) for policy in self.definition.policies
        )

    def owned(self, instance: Instance | None, principal: Principal, workflow_id: str) -> Instance:
        """The instance, if it exists in the principal's tenant.

        Raises:
            RunError: It does not exist, or belongs to another tenant.
        """
        if instance is None or not instance.ownership.has(principal):
            raise unknown_instance(workflow_id, principal)
        return instance

    def completed(self, proposal: Proposal) -> Proposal:
        """The proposal with complete arguments, including defaults that differ each time, if they fit its tool."""
        contract = self.definition.contracts.get(proposal.tool)
        if contract is None or proposal.problem is not None:
            return proposal
        return with_arguments(proposal, contract.complete(proposal.arguments))

    def sealed(self, instance: Instance, proposal: Proposal) -> Proposal:
        """Sign a proposal that will wait in a channel, with the secret in this instance's row."""
        mark = instance.seal.mark(PROPOSAL, instance.workflow_id, proposal.signed())
        return proposal.changed(mark=mark)

    def channels(
        self,
        instance: Instance,
        principal: Principal,
        *,
        already: Mapping[str, Any] | None = None,
        edges: Sequence[Edge] | None = None,
    ) -> dict[str, Any]:
        """The channel values of the workflow row.

        Args:
            instance: The row.
            principal: The principal of the turn.
            already: The current channels: equal values are left out, because each write is stored twice.
            edges: The edges that may be called now, if the caller has just computed them.
        """
        offered = self.offered_for(instance, principal) if edges is None else [edge.tool.name for edge in edges]
        row: dict[str, Any] = {
            "workflow_id": instance.workflow_id,
            "state": instance.state,
            "revision": instance.revision,
            "data": instance.data,
            "next_allowed_tools": list(offered),
        }
        if already is None or not already.get("workflow_id"):  # no channel of the instance has been written yet
            return row
        return {name: value for name, value in row.items() if not is_same_json(already.get(name), value)}

    def shown(
        self, instance: Instance, principal: Principal, *, already: Mapping[str, Any] | None = None
    ) -> Steps[dict[str, Any]]:
        """As `channels`, for a node: rules with lookups run outside the event loop."""
        return (yield from asked_apart(self.definition, lambda: self.channels(instance, principal, already=already)))

    def for_model(self, result: JsonObject) -> str:
        """A result for the model, with wire names of tools."""
        names = self.definition.wire_names
        allowed = result.get("nextAllowedTools")
        shown = dict(result)
        if isinstance(allowed, list):
            shown["nextAllowedTools"] = [names.to_wire(str(name)) for name in allowed]
        return canonical_json(shown)

    def answer(self, proposal: Proposal, result: JsonObject) -> ToolMessage:
        """The answer to a proposal in the conversation."""
        return ToolMessage(
            content=self._content(proposal, result),
            tool_call_id=proposal.call_id,
            name=self.definition.wire_names.get(proposal.tool, proposal.tool),
            status="success" if result.get("ok") else "error",
        )

    def _content(self, proposal: Proposal, result: JsonObject) -> Any:
        contract = self.definition.contracts.get(proposal.tool)
        if contract is None:
            return self.for_model(result)
        if self.definition.marks_untrusted and result.get("output") is not None:
            result = {**result, "output": enveloped(result["output"], Fields(output_fields(contract)))}
        if (contract.answers or self.definition.answers) is Answers.PLAIN and is_plain(result):
            return plain_content(result)
        # LangChain would write a dict as JSON text; decode it, so that it is not encoded twice inside the result.
        output = result.get("output")
        once = read_once(output) if contract.output_type is JsonValue else output
        return self.for_model(result if once is output else {**result, "output": once})
