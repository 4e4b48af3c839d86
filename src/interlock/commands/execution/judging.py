"""Calls the rules of a workflow for a proposal, in the transaction of the judgement, and undoes all their writes.

A rule that raises, or answers neither yes nor no, causes a denial. Errors of the store itself propagate, because an unreachable
database says nothing about the proposal.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from ...checkpointing.faults import translate
from ...checkpointing.store import Unit
from ...rules.denials import Denial, refused_by_rule, rule_broken
from ...rules.gate import Admission, Verdict, judge
from ...rules.proposals import Proposal
from ...rules.view import GuardView
from ...tools.canonical import JSON
from ...tools.context import ToolContext
from ...tools.contracts import ToolContract
from ...tools.contracts.predicates import CHECK, CONDITION, PREVIEW, SUPPLIER
from ...tools.errors import (
    ConflictError,
    InvalidOutput,
    NotADatabase,
    ReadOnlyStore,
    Refused,
    RuleError,
    StoreError,
    StoreUnavailable,
)
from ...tools.redaction import Secrets
from ..origins.capturing import Sources
from ..running.broken_rules import report
from ..running.engine import Engine
from ..running.operations import Sessions
from .audit_payloads import secrets_of
from .history import CarriedOut, LedgerHistory
from .looking import DeniedError, Looking

T = TypeVar("T")


class Asking(Protocol):
    """The executor of a proposal, which calls the rules."""

    engine: Engine
    node: str | None

    def context(
        self, unit: Unit, contract: ToolContract, proposal: Proposal, attempt: int, sessions: Sessions
    ) -> ToolContext:
        """The context of a rule."""


def verdict_on(commands: Asking, unit: Unit, proposal: Proposal) -> Verdict:
    """The gate's verdict on a proposal in this transaction.

    Raises:
        DeniedError: A rule made the transaction unusable, so the denial has to be recorded in another one.
    """
    instance = unit.instance
    asking = _Asking(commands, unit, proposal)
    verdict = judge(
        commands.engine.definition,
        proposal,
        asking.view,
        facts=asking.check,
        condition=asking.condition,
        supply=asking.supply,
        carried_out=lambda: CarriedOut(unit),
        now=unit.now,
        history=LedgerHistory(unit, principal_id=proposal.requester.id, key=proposal.key),
        sources=Sources(unit.connection, instance).index,
        node=commands.node,
    )
    return verdict if not isinstance(verdict, Denial) else asking.settled(verdict)


def preview_of(commands: Asking, unit: Unit, admission: Admission, proposal: Proposal) -> JSON | Denial:
    """The preview of the call for an approver, computed in this transaction; or the reason why there is none.

    Raises:
        DeniedError: As for `verdict_on`.
    """
    contract = admission.edge.tool
    if contract.preview is None:
        return None
    asking = _Asking(commands, unit, proposal)
    label = contract.label_of(contract.preview, PREVIEW)
    try:
        return asking.looking(
            contract, label, lambda context: contract.show_preview(admission.arguments, context, asking.view.apart())
        )
    except Refused as refusal:
        return asking.settled(refused_by_rule(refusal, contract.wire_name))
    except RuleError as error:
        return asking.settled(rule_broken(error, contract.wire_name, admission.edge))
    except InvalidOutput as error:
        broken = RuleError(f"{label} shows what cannot be kept", rule=label)
        broken.__cause__ = error
        return asking.settled(rule_broken(broken, contract.wire_name, admission.edge))


class _Asking:
    """Calls the rules for one proposal."""

    def __init__(self, commands: Asking, unit: Unit, proposal: Proposal) -> None:
        self._commands = commands
        self._unit = unit
        self._proposal = proposal
        self._spoiled = False

    @cached_property
    def view(self) -> GuardView:
        """The view for guards, with lookups in this transaction."""
        return self._commands.engine.view(self._unit.instance, self._proposal.requester, self._unit)

    def check(self, contract: ToolContract, arguments: Any, check: Callable[..., Any]) -> str | None:
        """Why a check does not hold, or None."""
        label = contract.label_of(check, CHECK)
        return self.looking(
            contract, label, lambda context: contract.call_predicate(check, arguments, context, self.view.apart())
        )

    def condition(self, contract: ToolContract, arguments: Any, condition: Callable[..., Any], view: GuardView) -> bool:
        """Whether the condition of an approval holds."""
        label = contract.label_of(condition, CONDITION)
        return self.looking(contract, label, lambda context: contract.meets(condition, arguments, context, view))

    def supply(self, contract: ToolContract, arguments: Any, function: Callable[..., Any]) -> Any:
        """Call the application's function for a supplied argument."""
        label = contract.label_of(function, SUPPLIER)
        return self.looking(
            contract, label, lambda context: contract.supply(function, arguments, context, self.view.apart())
        )

    def looking(self, contract: ToolContract, label: str, ask: Callable[[ToolContext], T]) -> T:
        """Call a rule that may read the system of record, and undo its writes."""
        looking = Looking(self._unit.connection, label)
        try:
            with looking:
                context = self._commands.context(self._unit, contract, self._proposal, 1, looking)
                try:
                    return ask(context)
                finally:
                    context.close()
        finally:
            self._spoiled = self._spoiled or looking.problem is not None

    def settled(self, denial: Denial) -> Denial:
        """The denial; an error of a rule is logged and traced.

        Raises:
            DeniedError: It cannot be recorded in this transaction.
            StoreError: The database failed, not the rule.
        """
        if isinstance(denial.error, RuleError):
            cause = denial.error.__cause__
            if isinstance(cause, (StoreError, ConflictError)):
                raise cause
            if isinstance(cause, sa.exc.DBAPIError):
                trouble = translate(cause, self._commands.engine.store.database.engine.url)
                if isinstance(trouble, (StoreUnavailable, ReadOnlyStore, NotADatabase)):
                    raise trouble from cause
                self._spoiled = True
            contract = self._commands.engine.definition.contracts.get(self._proposal.tool)
            secrets = Secrets() if contract is None else secrets_of(contract, self._proposal.arguments)
            secrets.learn_from(self._unit.instance.data, self._commands.engine.definition.sensitive)
            report(denial.error, self._unit.instance, secrets)
        if self._spoiled:
            raise DeniedError(denial)
        return denial


__all__ = ["preview_of", "verdict_on"]
