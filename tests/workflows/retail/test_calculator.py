"""The calculator: exact, rounded at the end, and not to be talked into anything else."""

from __future__ import annotations

import ast
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.tools.errors import Refused
from interlock.workflows.retail.calculator import LONGEST_EXPRESSION, calculate


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("3131.1 + 4777.75 + 367.38", "8276.23"),
        ("135.24 - 153.23", "-17.99"),
        ("0.1 + 0.2", "0.30"),
        ("2 + 3 * 4", "14.00"),
        ("(2 + 3) * 4", "20.00"),
        ("10 / 4 / 5", "0.50"),
        ("1 - -1", "2.00"),
        ("-(2.5)", "-2.50"),
        ("1 / 3", "0.33"),
        (" .5+5. ", "5.50"),
        ("0.125", "0.12"),
        ("((((1))))", "1.00"),
        ("9" * LONGEST_EXPRESSION, "9" * LONGEST_EXPRESSION + ".00"),
    ],
)
def test_it_calculates_with_two_places(expression: str, result: str) -> None:
    assert str(calculate(expression)) == result


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "it ends where a number was expected"),
        ("1 +", "it ends where a number was expected"),
        ("(1", "a parenthesis is not closed"),
        ("1)", "nothing was expected before ')'"),
        ("1 2", "nothing was expected before '2'"),
        ("2 ** 9", "'*' stands where a number was expected"),
        ("9 // 2", "'/' stands where a number was expected"),
        ("1 / (2 - 2)", "it divides by zero"),
        ("1e9", "'e9' is neither"),
        ("__import__('os')", "is neither"),
        ("1,5", "',5' is neither"),
        ("٣ + 1", "'٣ + 1' is neither"),
        ("1.2.3", "nothing was expected before '.3'"),
        ("." * 5, "is neither"),
        ("(" * (LONGEST_EXPRESSION + 1), "201 characters"),
        ("(" * LONGEST_EXPRESSION, "it ends where a number was expected"),
        ("-" * LONGEST_EXPRESSION, "it ends where a number was expected"),
    ],
)
def test_what_is_no_sum_is_refused_with_the_place(expression: str, problem: str) -> None:
    with pytest.raises(Refused) as refused:
        calculate(expression)
    assert problem in refused.value.message
    assert refused.value.reason == "expression"


def exactly(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return exactly(left) + exactly(right)
        case ast.BinOp(left, ast.Sub(), right):
            return exactly(left) - exactly(right)
        case ast.BinOp(left, ast.Mult(), right):
            return exactly(left) * exactly(right)
        case ast.BinOp(left, ast.Div(), right):
            return exactly(left) / exactly(right)
        case ast.UnaryOp(ast.USub(), operand):
            return -exactly(operand)
        case ast.Constant(value):
            return Fraction(str(value))
    raise AssertionError(ast.dump(node))


numbers = st.decimals(min_value=0, max_value=9999, places=2).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(inner, st.sampled_from([" + ", "-", "*", " / "]), inner).map("".join),
    ),
    max_leaves=8,
)


@given(expressions.filter(lambda expression: len(expression) <= LONGEST_EXPRESSION))
def test_it_reads_expressions_as_python_does(expression: str) -> None:
    try:
        exact = exactly(ast.parse(expression, mode="eval").body)
    except ZeroDivisionError:
        with pytest.raises(Refused, match="divides by zero"):
            calculate(expression)
        return
    assert calculate(expression) == Decimal(f"{round(exact * 100)}E-2")
