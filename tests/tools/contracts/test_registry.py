"""Contracts by name and version."""

import pytest

from interlock.tools import RegistryError, ToolContract, ToolRegistry, read


def contract(name: str, version: int = 1) -> ToolContract:
    def look(order_id: str) -> str:
        """Look up."""
        return order_id

    return read(name, version=version)(look)


def test_several_versions_stand_side_by_side() -> None:
    old, new, other = contract("order.get"), contract("order.get", 10), contract("user.get")

    registry = ToolRegistry([new, old, other])

    assert registry.latest("order.get") is registry.get("order.get") is new
    assert registry.get("order.get", 1) is old
    assert registry.versions("order.get") == (1, 10)
    assert registry.names == ("order.get", "user.get")
    assert [*registry] == [old, new, other]
    assert len(registry) == 3
    assert "order.get" in registry
    assert "order.drop" not in registry
    assert dict(registry.wire_names()) == {"order.get": "order_get", "user.get": "user_get"}


def test_the_same_contract_may_be_added_again() -> None:
    one = contract("order.get")
    registry = ToolRegistry([one])

    registry.add(one)

    assert [*registry] == [one]


def test_another_contract_under_the_same_name_and_version_is_refused_and_changes_nothing() -> None:
    one = contract("order.get")
    registry = ToolRegistry([one])

    with pytest.raises(RegistryError, match=r"order\.get v1 is defined twice"):
        registry.add(contract("order.get"))

    assert [*registry] == [one]


def test_a_function_without_a_contract_is_refused() -> None:
    def look(order_id: str) -> str:
        return order_id

    with pytest.raises(RegistryError, match="define it with @read"):
        ToolRegistry([look])  # type: ignore[list-item]


def test_what_is_not_there_is_said_with_what_is() -> None:
    registry = ToolRegistry([contract("order.get"), contract("user.get", 2)])

    with pytest.raises(RegistryError, match=r"no tool 'order\.drop' here; known are order\.get, user\.get"):
        registry.latest("order.drop")
    with pytest.raises(RegistryError, match=r"no user\.get v1 here; known are v2"):
        registry.get("user.get", 1)
    with pytest.raises(RegistryError, match=r"no order\.drop v1 here; known are order\.get"):
        registry.get("order.drop", 1)
    assert registry.versions("order.drop") == ()
