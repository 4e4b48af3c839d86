"""What a model is told of a tool: the whole of its description, and each parameter by what the docstring says of it."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from interlock import ToolContext
from interlock.tools import ContractError, InvalidArguments, ToolContract, command, read


def google(query: str, limit: int = 5) -> list[str]:
    """Search the
    knowledge base.

    Never pass customer names.

    Args:
        query: the words,
            in English
        limit (int, optional): at most 50

    Returns:
        A list.

    Note:
        It is slow.
    """
    return []


def numpy(query: str, limit: int = 5) -> list[str]:
    """Search the knowledge base.

    Never pass customer names.

    Parameters
    ----------
    query : str
        the words,
        in English
    limit : int, optional
        at most 50

    Returns
    -------
    list
        A list.
    """
    return []


def sphinx(query: str, limit: int = 5) -> list[str]:
    """Search the knowledge base.

    Never pass customer names.

    :param query: the words,
        in English
    :param int limit: at most 50
    :returns: A list.
    """
    return []


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_a_docstring_describes_the_tool_as_a_whole_and_each_parameter(function: Any) -> None:
    contract = read("kb.search")(function)
    told = contract.tool_definition()["function"]

    assert told["description"].startswith("Search the knowledge base.\n\nNever pass customer names.\n\n")
    assert "A list." in told["description"]
    assert "at most 50" not in told["description"]
    assert told["parameters"]["properties"]["query"]["description"] == "the words, in English"
    assert told["parameters"]["properties"]["limit"] == {"type": "integer", "default": 5, "description": "at most 50"}
    assert contract.input_schema()["properties"]["limit"]["description"] == "at most 50"


def test_what_follows_the_parameters_is_kept() -> None:
    assert "It is slow." in read("kb.search")(google).description


def test_what_an_annotation_says_itself_counts() -> None:
    @read("kb.search")
    def search(query: Annotated[str, Field(description="its own")], ctx: ToolContext) -> str:
        """Search.

        Args:
            query: the docstring's
            ctx: never offered
        """
        return query

    parameters = search.tool_definition()["function"]["parameters"]
    assert parameters["properties"] == {"query": {"type": "string", "description": "its own"}}


@pytest.mark.parametrize("text", ["Delete a user.\n\nNEVER call it twice.", "One.\n" * 500, "Use:\n\n    a\n      b\n"])
def test_a_description_that_is_given_stays_as_it_is(text: str) -> None:
    @read("kb.search", description=text)
    def search(query: str) -> str:
        """Short."""
        return query

    assert search.description == text
    assert search.tool_definition()["function"]["description"] == text


def test_a_docstring_without_sections_is_the_description() -> None:
    @read("kb.search")
    def search(query: str) -> str:
        """Search: this and that.

        Usage: call it
          - with one word
          - with two
        """
        return query

    assert search.description == "Search: this and that.\n\nUsage: call it\n  - with one word\n  - with two"


class Strict(BaseModel):
    model_config = {"extra": "forbid"}
    name: str


class Lax(BaseModel):
    model_config = {"extra": "ignore"}
    name: str


class Silent(BaseModel):
    name: str


class Open(BaseModel):
    model_config = {"extra": "allow"}
    name: str


def whole(model: type[BaseModel], **options: Any) -> ToolContract:
    def take(given: Any) -> str:
        """Take it."""
        return repr(given)

    take.__annotations__ = {"given": model, "return": str}
    return command("it.take", input_model=model, **options)(take)


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("contract", "taken"),
        [
            (whole(Strict), None),
            (whole(Silent), None),
            (whole(Lax), {"name": "a"}),
            (whole(Open), {"name": "a", "moreOfIt": 1}),
            (whole(Strict, extra="ignore"), {"name": "a"}),
            (whole(Silent, extra="allow"), {"name": "a", "moreOfIt": 1}),
            (whole(Lax, extra="forbid"), None),
            (whole(Open, extra="ignore"), {"name": "a"}),
        ],
    )
    def test_they_are_taken_as_the_contract_says_else_as_the_model_does(
        self, contract: ToolContract, taken: dict[str, Any] | None
    ) -> None:
        closed = contract.offered_schema().get("additionalProperties") is False
        assert closed == (taken is None)
        if taken is None:
            with pytest.raises(InvalidArguments):
                contract.bind({"name": "a", "moreOfIt": 1})
        else:
            assert contract.bind({"name": "a", "moreOfIt": 1}).canonical == taken

    def test_a_contract_prints_none_of_it(self) -> None:
        assert "additionalProperties" not in whole(Silent).input_schema()

    def test_those_of_a_function_with_named_parameters_are_left_out_or_refused(self) -> None:
        def take(name: str) -> str:
            """Take it."""
            return name

        assert command("it.take", extra="ignore")(take).bind({"name": "a", "b": 1}).canonical == {"name": "a"}
        with pytest.raises(ContractError, match="could not be given"):
            command("it.take", extra="allow")(take)
        with pytest.raises(ContractError, match="one by one"):
            command("it.take", input_model=Open)(take)
        with pytest.raises(ContractError, match="is one of"):
            command("it.take", extra="perhaps")(take)  # type: ignore[arg-type]
