"""Secrets do not get into what is written down."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.tools import JSON, is_secret, redact

TREES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "name",
    [
        "password", "newPassword", "PASSWORD", "user_password_hash", "token", "accessToken", "refresh_token",
        "id-token",
        "secret", "client_secret", "apiKey", "api_key", "x-api-key", "APIKey", "apikey", "privateKey", "accessKeyId",
        "authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "credentials", "jwt", "cvv", "ssn",
    ],
)  # fmt: skip
def test_names_that_hold_a_secret(name: str) -> None:
    assert is_secret(name)
    assert redact({name: "hush"}) == {name: "***"}


@pytest.mark.parametrize(
    "name",
    [
        "secretary",
        "tokenCount",
        "maxTokens",
        "tokens",
        "key",
        "primaryKey",
        "keyword",
        "author",
        "orderId",
        "passport",
        "monkey",
    ],
)
def test_names_that_hold_none(name: str) -> None:
    assert not is_secret(name)
    assert redact({name: "seen"}) == {name: "seen"}


def test_a_sensitive_name_is_redacted_wherever_it_stands() -> None:
    value: JSON = {
        "cardNumber": "4",
        "lines": [{"card_number": 5, "price": 1}, [{"cardNumber": {"deep": 1}}]],
        "note": None,
    }

    assert redact(value, ["card_number"]) == {
        "cardNumber": "***",
        "lines": [{"card_number": "***", "price": 1}, [{"cardNumber": "***"}]],
        "note": None,
    }


def test_a_path_is_redacted_only_there_and_through_lists() -> None:
    value: JSON = {"customer": {"address": [{"zip": "1"}]}, "shop": {"zip": "2"}, "zip": "3"}

    assert redact(value, ["customer.address.zip"]) == {
        "customer": {"address": [{"zip": "***"}]},
        "shop": {"zip": "2"},
        "zip": "3",
    }


def test_what_is_not_there_stays_not_there() -> None:
    assert redact({"password": None}) == {"password": None}


@example(["C", []], {"c"})
@given(TREES, st.sets(st.sampled_from("abc")))
def test_nothing_sensitive_is_left_and_everything_else_stays(value: JSON, names: set[str]) -> None:
    before = copy.deepcopy(value)

    def agree(was: Any, now: Any) -> bool:
        match was:
            case dict():
                return was.keys() == now.keys() and all(
                    now[key] == "***" if key in names and item is not None else agree(item, now[key])
                    for key, item in was.items()
                )
            case [str() as name, item] if (
                name.casefold() in names and item is not None
            ):  # a field as a pair of name and value
                return bool(now == [name, "***"])
            case list():
                return len(was) == len(now) and all(map(agree, was, now))
            case _:
                return bool(was == now)

    assert agree(before, redact(value, names))
    assert value == before
