"""The tree of errors: drawn as it is, each with a code, and able to travel between processes."""

import ast
import inspect
import itertools
import pickle
from collections.abc import Iterator

import pytest

from interlock.tools import (
    ConflictError,
    ErrorCode,
    IdempotencyError,
    InterlockError,
    InvalidArguments,
    Problem,
    Refused,
    StoreUnavailable,
    codes,
    errors,
)


def tree(root: type[InterlockError], depth: int = 0) -> Iterator[tuple[int, type[InterlockError]]]:
    yield depth, root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


ALL = [error for _, error in tree(InterlockError)]


def test_the_tree_is_drawn_as_it_is() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "──" in line or line.strip() == "InterlockError"]
    drawn = {line.split("── ")[-1].split()[0]: line.find("── ") // 4 + 1 if "──" in line else 0 for line in lines}
    indent = min(depth for name, depth in drawn.items() if name != "InterlockError") - 1

    assert {name: depth - indent if depth else 0 for name, depth in drawn.items()} == {
        error.__name__: depth for depth, error in tree(InterlockError)
    }


def test_every_error_has_a_code_of_its_own_or_shares_that_of_its_parent() -> None:
    for error in ALL:
        sharing = {other for other in ALL if other.default_code == error.default_code}
        assert all(issubclass(one, other) or issubclass(other, one) for one in sharing for other in sharing)


@pytest.mark.parametrize("error", ALL)
def test_every_error_says_what_it_is_to_people_and_to_programs(error: type[InterlockError]) -> None:
    raised = error("it happened", details={"a": 1})

    assert raised.message == str(raised) == "it happened"
    assert raised.code == error.default_code
    assert raised.retryable is error.default_retryable
    assert raised.details["a"] == 1
    assert error.__doc__


@pytest.mark.parametrize("error", ALL)
def test_every_error_survives_pickling(error: type[InterlockError]) -> None:
    raised = error("it happened", details={"a": 1}, retryable=True)

    again = pickle.loads(pickle.dumps(raised))  # noqa: S301

    assert type(again) is error
    assert (again.message, again.code, again.retryable, again.details) == (
        raised.message,
        raised.code,
        True,
        raised.details,
    )


def test_what_is_retryable_is_what_may_pass_by_itself() -> None:
    conflicts = {error for error in ALL if issubclass(error, ConflictError)}
    unreachable = {errors.BusUnavailable, errors.ServerUnavailable, StoreUnavailable}
    another_release_may_know = {errors.DefinitionChanged, errors.UnknownState}

    assert {error for error in ALL if error.default_retryable} == conflicts | unreachable | another_release_may_know


def test_the_details_given_can_be_changed_without_harm() -> None:
    details = {"a": 1}
    raised = IdempotencyError("no", details=details)

    details["a"] = 2

    assert raised.details == {"a": 1}


def test_a_refusal_keeps_the_tools_own_code_as_its_reason() -> None:
    refused = Refused("order not found", code="order_not_found", details={"orderId": "o-1"})

    assert refused.code == ErrorCode.REFUSED
    assert refused.reason == "order_not_found"
    assert refused.details == {"orderId": "o-1", "reason": "order_not_found"}
    assert Refused("no").reason is None
    assert Refused("no").details == {}
    assert Refused("later", retryable=True).retryable


def test_problems_with_arguments_are_details_too() -> None:
    problem = Problem(field="orderId", problem="is required")
    raised = InvalidArguments("no", tool="order.get", problems=[problem])

    again = pickle.loads(pickle.dumps(raised))  # noqa: S301

    assert again.problems == raised.problems == raised.details["problems"] == [problem]
    assert again.tool == "order.get"
    assert InvalidArguments("no").problems == []


def test_every_code_on_the_wire_says_when_and_whether_it_can_be_retried() -> None:
    (body,) = (node.body for node in ast.parse(inspect.getsource(codes)).body if isinstance(node, ast.ClassDef))
    documented = {
        named.targets[0].id: text.value.value
        for named, text in itertools.pairwise(body)
        if isinstance(named, ast.Assign)
        and isinstance(named.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }

    assert documented.keys() == ErrorCode.__members__.keys()
    assert all("etryable" in str(text) for text in documented.values())
    assert all(code.value == name.lower() for name, code in ErrorCode.__members__.items())
