"""Who acts."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from interlock.tools import Principal, PrincipalError

WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=20)
PRINCIPALS = st.builds(
    Principal,
    WORDS,
    roles=st.frozensets(WORDS, max_size=3),
    tenant=WORDS,
    attributes=st.dictionaries(WORDS, st.none() | st.integers() | st.lists(WORDS, max_size=2), max_size=3),
)


@given(PRINCIPALS)
def test_a_principal_survives_json(principal: Principal) -> None:
    assert Principal.from_json(json.loads(json.dumps(principal.to_json()))) == principal


def test_a_role_counts_only_for_somebody_known() -> None:
    ada = Principal("ada", roles=frozenset({"supervisor"}))
    nobody = Principal("anonymous", roles=frozenset({"supervisor"}))

    assert ada.is_known
    assert ada.has_role("supervisor")
    assert not ada.has_role("owner")
    assert not nobody.is_known
    assert not nobody.has_role("supervisor")
    assert Principal.anonymous() == Principal.ANONYMOUS
    assert Principal.anonymous("acme").tenant == "acme"


def test_the_principal_is_found_in_every_shape_of_context() -> None:
    ada = Principal("ada", roles=frozenset({"supervisor"}))

    assert Principal.coerce(None) is Principal.ANONYMOUS
    assert Principal.coerce(ada) is ada
    assert Principal.coerce({"id": "ada", "roles": ["supervisor"]}) == ada
    assert Principal.coerce(SimpleNamespace(principal=ada, database="…")) is ada
    assert Principal.coerce(SimpleNamespace(principal=None)) is Principal.ANONYMOUS
    assert Principal.coerce({"principal": {"id": "ada", "roles": ["supervisor"]}, "database": "…"}) == ada


@pytest.mark.parametrize(
    "context",
    [
        "ada",
        5,
        {},
        {"name": "ada"},
        {"id": "ada", "role": "supervisor"},
        object(),
        {"principal": "ada"},
        SimpleNamespace(user="ada"),
    ],
)
def test_a_context_that_says_nothing_of_who_acts_is_refused(context: Any) -> None:
    with pytest.raises(PrincipalError) as caught:
        Principal.coerce(context)

    assert caught.value.code == "principal_error"


def test_a_context_that_is_its_own_principal_is_refused() -> None:
    context = SimpleNamespace()
    context.principal = context

    with pytest.raises(PrincipalError, match="that object itself"):
        Principal.coerce(context)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": 5},
        {"id": None},
        {"id": "a" * 256},
        {"id": "a\nb"},
        {"id": "\ud800"},
        {"id": "a", "tenant": ""},
        {"id": "a", "roles": "supervisor"},
        {"id": "a", "roles": [1]},
        {"id": "a", "roles": [""]},
        {"id": "a", "roles": None},
        {"id": "a", "attributes": []},
        {"id": "a", "attributes": {"x": object()}},
    ],
)
def test_a_principal_of_a_wrong_shape_is_refused(fields: Any) -> None:
    with pytest.raises(PrincipalError, match=r"Principal\."):
        Principal(**fields)


def test_a_principal_cannot_be_changed() -> None:
    ada = Principal("ada")

    with pytest.raises(dataclasses.FrozenInstanceError):
        ada.id = "bo"  # type: ignore[misc]


def test_the_attributes_given_can_be_changed_without_harm() -> None:
    given_attributes: dict[str, Any] = {"limits": [1]}
    ada = Principal("ada", attributes=given_attributes)

    given_attributes["limits"].append(2)

    assert ada.attributes == {"limits": [1]}


class Channels(TypedDict):
    seen: str


def who(state: Channels, runtime: Runtime[Principal]) -> Channels:
    assert isinstance(runtime.context, Principal)
    return {"seen": f"{runtime.context.id} {sorted(runtime.context.roles)}"}


@pytest.mark.parametrize("context", [Principal("ada", roles=frozenset({"clerk"})), {"id": "ada", "roles": ["clerk"]}])
def test_langgraph_takes_it_as_its_context_schema(context: Any) -> None:
    builder = StateGraph(Channels, context_schema=Principal)
    builder.add_node(who)
    builder.add_edge(START, "who")
    builder.add_edge("who", END)
    graph = builder.compile()

    assert graph.invoke({"seen": ""}, context=context) == {"seen": "ada ['clerk']"}
    assert set((graph.get_context_jsonschema() or {})["properties"]) == {"id", "roles", "tenant", "attributes"}


@pytest.mark.parametrize("field", ["id", "tenant"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zo\u00e9", "Zoe\u0301"),  # composed, and letter and accent
        ("\u212bngstr\u00f6m", "\u00c5ngstro\u0308m"),  # the sign of the unit, and the letter
        ("\uac00", "\u1100\u1161"),  # Hangul
        ("ada", "  ada"),
        ("ada", "ada\t\n"),
        ("ada", "\u2003ada\u00a0"),  # spaces of typesetting
    ],
)
def test_names_that_look_the_same_are_the_same(field: str, one: str, other: str) -> None:
    values: dict[str, Any] = {"id": "somebody"}
    made = Principal.from_json({**values, field: one})

    assert made == Principal.from_json({**values, field: other}) == Principal(**{**values, field: other})
    assert getattr(made, field) == getattr(Principal.coerce({**values, field: other}), field)
    assert Principal("ada", roles={other}).has_role(one)  # type: ignore[arg-type]
    assert Principal("ada", roles={one}).has_role(other)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [" ", "\u00a0", "\t", "a\u200bb", "a\x00b"])
def test_a_name_that_is_only_space_or_cannot_be_seen_is_refused(name: str) -> None:
    for values in ({"id": name}, {"id": "ada", "tenant": name}):
        with pytest.raises(PrincipalError):
            Principal(**values)  # type: ignore[arg-type]
    with pytest.raises(PrincipalError):
        Principal("ada", roles={" "})  # type: ignore[arg-type]


def test_nobody_in_particular_cannot_be_spelled_to_be_somebody() -> None:
    assert not Principal(" anonymous ", roles={"supervisor"}).has_role("supervisor")  # type: ignore[arg-type]


@given(PRINCIPALS)
def test_a_name_is_spelled_once_and_stays_so(principal: Principal) -> None:
    assert Principal(principal.id, roles=principal.roles, tenant=principal.tenant).id == principal.id
