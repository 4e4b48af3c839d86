"""Canonical names have dots, the model's names do not, and the two map both ways."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.tools import RegistryError, ToolContract, WireNames, camel, read, wire_name
from interlock.tools.wire import LONGEST_NAME, TOOL_NAME, published_canonical_name, published_wire_name

NAMES = st.from_regex(re.compile(r"[a-z][a-z0-9_]{0,6}(\.[a-z][a-z0-9_]{0,6}){0,3}", re.ASCII), fullmatch=True)
EVERY_PROVIDER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", re.ASCII)
"""The rules of OpenAI, Anthropic and Gemini together."""


def contract(name: str, *, version: int = 1, wire: str | None = None) -> ToolContract:
    def look(order_id: str) -> str:
        """Look up."""
        return order_id

    return read(name, version=version, wire_name=wire)(look)


@given(NAMES)
def test_every_provider_takes_every_wire_name(name: str) -> None:
    assert EVERY_PROVIDER.fullmatch(wire_name(name))


@given(st.lists(NAMES, unique=True, max_size=6))
def test_names_map_both_ways_unless_two_collide(names: list[str]) -> None:
    assume(len({wire_name(name) for name in names}) == len(names))

    wire = WireNames(map(contract, names))

    assert {wire.to_canonical(wire.to_wire(name)) for name in names} == set(names)
    assert dict(wire) == {name: wire_name(name) for name in names}


def test_a_collision_names_both_tools() -> None:
    with pytest.raises(RegistryError, match=r"'order\.get_all' and 'order_get\.all' would both be 'order_get_all'"):
        WireNames([contract("order.get_all"), contract("order_get.all")])


def test_a_wire_name_of_its_own_ends_a_collision() -> None:
    wire = WireNames([contract("order.get_all"), contract("order_get.all", wire="getAllOrders")])

    assert wire.to_canonical("getAllOrders") == "order_get.all"


def test_one_tool_with_two_wire_names_is_refused() -> None:
    with pytest.raises(RegistryError, match="in one version"):
        WireNames([contract("order.get"), contract("order.get", version=2, wire="getOrder")])


def test_versions_of_one_tool_share_a_wire_name() -> None:
    assert dict(WireNames([contract("order.get"), contract("order.get", version=2)])) == {"order.get": "order_get"}


def test_what_no_tool_is_called_is_none_and_a_canonical_name_is_no_wire_name() -> None:
    wire = WireNames([contract("order.get")])

    assert wire.to_canonical("order.get") is None
    assert wire.to_canonical("order_drop") is None
    with pytest.raises(KeyError):
        wire.to_wire("order.drop")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("case_id", "caseId"),
        ("caseId", "caseId"),
        ("from_", "from"),
        ("address_1", "address1"),
        ("md5hash", "md5hash"),
        ("a_b_c", "aBC"),
        ("url_of_API", "urlOfAPI"),
        ("x", "x"),
    ],
)
def test_fields_are_camel_case(name: str, wire: str) -> None:
    assert camel(name) == wire


@pytest.mark.parametrize(
    ("published", "canonical", "wire"),
    [
        ("get_order", "get_order", "get_order"),
        ("getOrder", "get_order", "getOrder"),
        ("resolve-library-id", "resolve_library_id", "resolve-library-id"),
        ("_private", "private", "_private"),
        ("2fa_check", "tool_2fa_check", "tool_2fa_check"),
        ("-dash", "dash", "tool_-dash"),
        ("notion.search", "notion.search", "notion_search"),
        ("Notion.2Search", "notion.tool_2_search", "Notion_2Search"),
        ("tool with space", "tool_with_space", "tool_with_space"),
        ("mcp__srv__do", "mcp_srv_do", "mcp__srv__do"),
    ],
)
def test_a_name_of_somebody_elses_is_kept_where_every_provider_takes_it(
    published: str, canonical: str, wire: str
) -> None:
    assert (published_canonical_name(published), published_wire_name(published)) == (canonical, wire)


@given(st.text(min_size=1, max_size=100))
def test_whatever_a_tool_is_called_every_provider_takes_what_is_made_of_it(published: str) -> None:
    assert EVERY_PROVIDER.fullmatch(published_wire_name(published))
    canonical = published_canonical_name(published)
    assert TOOL_NAME.fullmatch(canonical)
    assert len(canonical) <= LONGEST_NAME


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = "x" * 70, "x" * 71

    assert published_wire_name(one) != published_wire_name(other)
    assert published_canonical_name(one) != published_canonical_name(other)
    assert published_canonical_name("\u5230") != published_canonical_name("\u8fbe")
