"""The page about errors says what the code says."""

import pytest

from interlock import ErrorCode
from interlock.cli.support.output import ExitCode
from interlock.tools import errors
from tests.docs.error_page import _EXIT_WORDS, PAGE, page
from tests.docs.narrower_codes import MEANINGS, narrower


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


def test_every_code_that_the_source_writes_is_explained_and_no_other():
    found = {*narrower()}
    # These come from variables: what an MCP server refused, and what could not be read of a stored row.
    computed = {"invalid_params", "type_not_allowed", "value_not_storable"}
    assert {*MEANINGS} - found - computed == set(), "explained, and not there"
    assert found - {*MEANINGS} == set(), "add them to tests/docs/narrower_codes.py, then run `make notebooks`"


def test_every_exit_code_is_on_it():
    assert {*_EXIT_WORDS} == {*ExitCode}
