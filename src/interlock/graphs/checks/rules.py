"""Checks guards, checks and policies at compilation: refuses those that clearly cannot answer yes or no."""

from ...rules.definition import Definition, Edge
from ...rules.ordering import check_order
from ...rules.policies import Policy
from ...tools.canonical import digest
from ...tools.contracts.predicates import CHECK
from ...tools.contracts.yes_or_no import is_deferred, takes_one, why_no_rule
from ...tools.errors import ContractError, WorkflowDefinitionError
from ...tools.origins.contracts import input_fields, output_fields
from ...tools.schemas.signature import where
from ...tools.storable import described


def check_rules(definition: Definition) -> None:
    """Refuse guards, checks and policies that cannot be called, and markers that have no meaning where they are used.

    Raises:
        WorkflowDefinitionError: There is one; the message names its edge or field.
    """
    for edge in definition.edges:
        _check_guard(edge)
        _check_sets(definition, edge)
        check_order(edge.label, edge.tool, edge.after, edge.once_per, definition.contracts)
        if edge.check is not None:
            try:
                edge.tool.check_predicate(edge.check, CHECK)
            except ContractError as error:
                raise WorkflowDefinitionError(f"The check of the edge {edge.label}: {error.message}.") from error
    for policy in definition.policies:
        _check_policy(definition, policy)
    for contract in definition.contracts.values():
        try:
            input_fields(contract), output_fields(contract)
        except ContractError as error:
            raise WorkflowDefinitionError(f"In the workflow {definition.name!r}: {error.message}") from error


def _check_guard(edge: Edge) -> None:
    if edge.guard is None:
        return
    problem = why_no_rule(edge.guard)
    if problem is None and not takes_one(edge.guard):
        problem = "cannot be called with one argument, the view (state, data, principal, revision)"
    if problem is None:
        return
    named = where(edge.guard) if callable(edge.guard) else "it"
    raise WorkflowDefinitionError(
        f"The guard of the edge {edge.label}: {named} {problem}. A guard returns True or False; to return a reason, use a check."
    )


def _check_sets(definition: Definition, edge: Edge) -> None:
    fields = () if definition.data_model is None else definition.data_model.model_fields
    if unknown := [name for name in edge.sets if name not in fields]:
        has = f"its fields are {', '.join(fields)}" if fields else "it has none: declare Workflow(..., data=CaseData)"
        raise WorkflowDefinitionError(
            f"The edge {edge.label} sets {', '.join(map(repr, unknown))}, which the data of the workflow does not have; {has}."
        )


def _check_policy(definition: Definition, policy: object) -> None:
    place = f"A policy of the workflow {definition.name!r}"
    if not isinstance(policy, Policy):
        given = policy.__name__ if isinstance(policy, type) else repr(policy)
        advice = f"give an object of it: {given}(...)" if isinstance(policy, type) else "give objects of Policy classes"
        raise WorkflowDefinitionError(f"{place} is {given}; {advice}.")
    for part in ("hides", "judge", "may_require_approval"):
        if is_deferred(getattr(policy, part)):
            raise WorkflowDefinitionError(
                f"{place}, {policy.label!r}, has an async {part}(), or one that yields. It is asked inside the transaction that judges: "
                "make it a plain method."
            )
    try:
        digest(policy.stamp())
    except Exception as error:
        raise WorkflowDefinitionError(
            f"{place}, {policy.label!r}, has a stamp() that gives no JSON data ({described(error)}). Approvals are bound to it: return "
            "its name, its version and what it was given, as plain data."
        ) from error


__all__ = ["check_rules"]
