"""The desk driven by a plain program: it starts an instance, proposes call after call, and asks the customer what the desk asks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from interlock import Answered, Pending, Principal, WorkflowGraph
from interlock.workflows.retail import BY_TAU2_NAME
from tests.workflows.retail import tau2
from tests.workflows.retail.desk import CUSTOMER, Desk

_cases = itertools.count(1)


@dataclass
class Program:
    """One conversation with a customer, without any model.

    Attributes:
        graph: The compiled desk.
        case: The instance.
        revision: Where it stood when it last answered: what the next call is decided by.
    """

    graph: WorkflowGraph
    case: str = ""
    revision: int = 0
    answers: list[Answered] = field(default_factory=list)
    by: Principal = CUSTOMER

    @classmethod
    def begin(cls, desk: Desk) -> Program:
        """Start an instance; the desk looks at it from now on."""
        program = cls(desk.graph, f"door-{next(_cases)}")
        snapshot = desk.graph.instances.start(principal=CUSTOMER, workflow_id=program.case)
        program.revision = snapshot.revision
        desk.config = {"configurable": {"workflow_id": program.case}}
        return program

    def propose(self, name: str, arguments: dict[str, Any], **more: Any) -> Answered | Pending:
        """Propose a call by the benchmark's name, decided by the revision that was last seen unless a key is given."""
        given = more if more.keys() & {"key", "revision"} else {"revision": self.revision, **more}
        stood = self.graph.instances.propose(
            self.case, BY_TAU2_NAME[name], arguments, **{"principal": self.by, **given}
        )
        assert stood.revision is not None
        self.revision = stood.revision
        return stood

    def carry_out(self, name: str, arguments: dict[str, Any]) -> Answered:
        """Propose a call, and let the customer confirm it where the desk asks."""
        stood = self.propose(name, arguments)
        if isinstance(stood, Pending):
            assert (stood.pending.kind, stood.pending.decided_by) == (
                "confirmation",
                f"the person served, {self.by.id}",
            )
            assert isinstance(stood.pending.preview, dict)
            assert "changes" in stood.pending.preview, "the customer is shown what would change"
            self.graph.instances.decide(stood.pending.proposal_id, "approve", by=self.by)
            stood = self.proposal(stood.pending.proposal_id)
        assert isinstance(stood, Answered)
        self.answers.append(stood)
        return stood

    def proposal(self, proposal_id: str, **more: Any) -> Answered | Pending:
        """Where a proposal stands."""
        stood = self.graph.instances.proposal(proposal_id, **{"by": self.by, **more})
        assert stood.revision is not None
        self.revision = stood.revision
        return stood

    def identify(self, user_id: str) -> Answered:
        """Identify one of the benchmark's customers."""
        return self.carry_out("find_user_id_by_email", {"email": tau2.shop_json()["users"][user_id]["email"]})


__all__ = ["Program"]
