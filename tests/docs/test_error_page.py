"""The page about errors says what the code says."""

import pytest

from interlock import ErrorCode
from interlock.cli.support.output import ExitCode
from interlock.tools import errors
from tests.docs.error_page import _EXIT_WORDS, PAGE, page


def test_the_page_is_as_the_code_has_it():
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.docs.error_page"


@pytest.mark.parametrize("code", [*ErrorCode])
def test_every_code_is_explained(code: ErrorCode):
    assert f"\n| `{code.value}` | " in page()


def test_every_exception_is_on_it():
    named = [
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.InterlockError)
    ]
    assert len(named) > 20
    assert [name for name in named if f"`{name}`" not in page()] == []


def test_every_exit_code_is_on_it():
    assert {*_EXIT_WORDS} == {*ExitCode}
