"""The desk's calculator: `+ - * / ( )` over decimal numbers, exact, rounded to two places at the end.

It uses a small parser instead of Python's `eval`: a model writes the expressions, and even digits and operators alone can
make `eval` use unlimited time and memory (`9**9**9`).
"""

import re
from decimal import Decimal
from fractions import Fraction

from ...tools.errors import Refused

LONGEST_EXPRESSION = 200
"""The maximum number of characters, which also limits depth, time and the size of numbers."""

_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)|(?P<sign>[-+*/()]))", re.ASCII)


def calculate(expression: str) -> Decimal:
    """Calculate an expression of decimal numbers, `+ - * /` and parentheses.

    Returns:
        The result, rounded to two places (half to even).

    Raises:
        Refused: The expression is too long, invalid, or divides by zero.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise _refused(f"it has {len(expression)} characters, and {LONGEST_EXPRESSION} are allowed")
    try:
        result = _Parser(_tokens(expression)).result()
    except ZeroDivisionError:
        raise _refused("it divides by zero") from None
    # Built from text: arithmetic on decimals would round to the precision of the context.
    return Decimal(f"{round(result * 100)}E-2")


def _refused(problem: str) -> Refused:
    return Refused(
        f"The expression cannot be calculated: {problem}. Give decimal numbers with + - * / and parentheses, such as "
        "'(19.99 + 5) * 2'.",
        code="expression",
    )


def _tokens(expression: str) -> list[str]:
    tokens, position, text = [], 0, expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refused(f"{text[position:].lstrip()[:20]!r} is neither a number nor one of + - * / ( )")
        tokens.append(match["number"] or match["sign"])
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent: sums of products of signed atoms."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0

    def result(self) -> Fraction:
        value = self._sum()
        if self._next < len(self._tokens):
            raise _refused(f"nothing was expected before {self._tokens[self._next]!r}")
        return value

    def _take(self, *wanted: str) -> str | None:
        if self._next < len(self._tokens) and self._tokens[self._next] in wanted:
            self._next += 1
            return self._tokens[self._next - 1]
        return None

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while sign := self._take("*", "/"):
            value = value * self._signed() if sign == "*" else value / self._signed()
        return value

    def _signed(self) -> Fraction:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._atom()
        return -value if negative else value

    def _atom(self) -> Fraction:
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise _refused("a parenthesis is not closed")
            return value
        if self._next == len(self._tokens):
            raise _refused("it ends where a number was expected")
        number = self._tokens[self._next]
        if number in "+-*/()":
            raise _refused(f"{number!r} stands where a number was expected")
        self._next += 1
        return Fraction(number)
