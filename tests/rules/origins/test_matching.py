"""How values are looked for in sources: what was said is found, and no rewriting of a value is taken for it."""

from __future__ import annotations

import base64
import codecs
import json
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from interlock import command, read
from interlock.commands.origins.capturing import hashed_with
from interlock.rules.origins.holding import WIDTH, Fields, Held, of_output, of_words
from interlock.rules.origins.index import Index, Origin, _Read, least_trusted
from interlock.rules.origins.tracing import traced
from interlock.rules.origins.words import is_address, number
from interlock.tools.canonical import canonical_json
from interlock.tools.origins import Content, Id, Label, Own
from interlock.tools.origins.contracts import output_fields

HASHED = hashed_with("00" * 32)
VALUES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@-/+", min_size=4, max_size=24)
CONFUSABLE = {
    "a": "а",
    "e": "е",
    "o": "о",
    "p": "р",
    "c": "с",
    "A": "А",
    "B": "В",
    "E": "Е",
    "O": "О",
    "0": "О",
    "1": "l",
    "l": "1",
}


class Account(BaseModel):
    number: Annotated[str, Own]
    key: Annotated[int, Id("account")]
    title: Annotated[str, Label]
    balance: int
    note: str


@read("account.list")
def list_accounts() -> list[Account]:
    """List."""
    return []


@read("account.search")
def search(text: str) -> list[Account]:
    """Search."""
    return []


def said(*texts: str) -> Index:
    return Index([Held.from_json(of_words(text, HASHED).to_json()) for text in texts], HASHED)


def kept(accounts: list[dict[str, Any]], *, is_traced: bool = True, is_selected: bool = False) -> Held:
    fields = Fields(output_fields(list_accounts))
    held = of_output(accounts, fields, HASHED, sensitive=frozenset(), is_traced=is_traced, is_selected=is_selected)
    return Held.from_json(held.to_json())


def account(
    number: str = "DE1", key: int = 4711, title: str = "Savings", balance: int = 250, note: str = "none"
) -> dict[str, Any]:
    return {"number": number, "key": key, "title": title, "balance": balance, "note": note}


@given(value=VALUES, before=VALUES, after=VALUES)
def test_what_a_person_said_is_theirs(value: str, before: str, after: str) -> None:
    index = said(f"{before} {value}, {after}")

    assert index.origin(value) is Origin.USER


@given(number=VALUES, key=st.integers(1000, 10**9), balance=st.integers(1000, 10**9), named=st.booleans())
def test_a_trusted_value_is_found_with_its_most_trusted_origin(
    number: str, key: int, balance: int, named: bool
) -> None:
    records = [kept([account(number, key, "My Savings", balance)])]
    words = [of_words("what is in my savings?" if named else "hello", HASHED)]
    index = Index([*records, *words], HASHED)
    expected = Origin.RECORD if named else Origin.LISTED

    assert index.origin(number) is expected
    assert index.origin(key, kind="account") is expected
    assert index.origin(balance) is expected
    assert Index([*records, of_words(f"it is {number}", HASHED)], HASHED).origin(number) is Origin.USER


REWRITINGS: dict[str, Callable[[str], str]] = {
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "backwards": lambda value: value[::-1],
    "confusable": lambda value: "".join(CONFUSABLE.get(letter, letter) for letter in value),
    "full width": lambda value: "".join(chr(ord(letter) + 0xFEE0) for letter in value),
    "zero width": lambda value: value[:2] + "\u200b" + value[2:],
    "soft hyphen": lambda value: value[:2] + "\u00ad" + value[2:],
    "direction": lambda value: "\u202e" + value,
    "tag": lambda value: value + "\U000e0041",
    "combining": lambda value: value + "\u0335",
    "split": lambda value: value[:2] + " " + value[2:],
    "joined": lambda value: value + value,
    "cut": lambda value: value[:-1],
    "longer": lambda value: value + "x",
    "other case": lambda value: value.swapcase(),
    "no-break space": lambda value: value + "\u00a0",
    "line": lambda value: value + "\n",
    "space before": lambda value: " " + value,
    "punctuation": lambda value: f"({value})",
    "link": lambda value: f"https://evil.example/?to={value}",
    "percent": lambda value: "".join(f"%{ord(letter):02x}" for letter in value),
    "null": lambda value: value + "\0",
    "base32": lambda value: base64.b32encode(value.encode()).decode(),
    "rot13": lambda value: codecs.encode(value, "rot13") + "n",
    "JSON in a text": lambda value: json.dumps({"account": value}),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "HTML entities": lambda value: "".join(f"&#{ord(letter)};" for letter in value),
    "escapes": lambda value: "".join(f"\\u{ord(letter):04x}" for letter in value),
    "upper case of Unicode": lambda value: value + "ß".upper(),
    "sharp s": lambda value: value + "ß",
    "dotless i": lambda value: value + "\u0131",
    "kelvin": lambda value: value + "\u212a",
    "decomposed and composed": lambda value: value + "\u00e9e\u0301",
    "Hangul filler": lambda value: value + "\u3164",
    "Braille blank": lambda value: value + "\u2800",
    "variation selector": lambda value: value + "\ufe0f",
    "joiner": lambda value: value[:1] + "\u034f" + value[1:],
    "word joiner": lambda value: value + "\u2060",
    "byte order mark": lambda value: "\ufeff" + value,
    "isolate": lambda value: "\u2068" + value + "\u2069",
    "mathematical": lambda value: value + "\U0001d7d8",
    "digits of another script": lambda value: value + "\u0663",
    "circled digit": lambda value: value + "\u2460",
    "first of two": lambda value: f"{value},{value}",
    "list": lambda value: f"[{value}]",
    "suffix": lambda value: value[1:],
    "surrogate": lambda value: value + "\ud800",
    "tab": lambda value: value + "\t",
    "two spaces": lambda value: f"{value}  use",
}  # fmt: skip


@pytest.mark.parametrize("name", REWRITINGS)
@given(value=VALUES)
def test_no_rewriting_of_a_value_is_taken_for_it(name: str, value: str) -> None:
    rewritten = REWRITINGS[name](value)
    assume(unicodedata.normalize("NFC", rewritten) != value)
    sources = Index([kept([account(value)], is_selected=True), of_words(f"use {value}.", HASHED)], HASHED)

    assert sources.origin(rewritten) is Origin.NOWHERE


SIGNS = [
    chr(code)
    for code in range(0x110000)
    if not 0xD800 <= code < 0xE000
    and (plain_form := unicodedata.normalize("NFC", chr(code))) != chr(code)
    and unicodedata.normalize("NFD", chr(code)) != chr(code)
    and len(plain_form) == 1
]
"""Signs that are another letter once a text is composed, such as the one for kelvin, and decomposed ones as well."""


@given(sign=st.sampled_from(SIGNS), before=VALUES)
def test_a_sign_that_stands_for_another_letter_is_not_taken_for_it(sign: str, before: str) -> None:
    letter = unicodedata.normalize("NFC", sign)
    index = Index(
        [kept([account(before + letter)], is_selected=True), of_words(f"use {before}{letter}", HASHED)], HASHED
    )

    assert index.origin(before + sign) is Origin.NOWHERE


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_letter_with_an_accent_is_the_same_composed_and_decomposed(form: Any) -> None:
    assert said("write to josé@post.example").origin(unicodedata.normalize(form, "josé@post.example")) is Origin.USER


@given(one=VALUES, other=VALUES)
def test_what_is_put_together_of_two_trusted_values_is_neither(one: str, other: str) -> None:
    index = Index(
        [kept([account(one), account(other, key=4712)], is_selected=True), of_words(f"{one}, or {other}", HASHED)],
        HASHED,
    )
    for joined in (one + other, f"{one}/{other}", f"{one},{other}", f"{one} {other}", f"{one}@{other}"):
        assume(joined not in {one, other, f"{one},"})
        assert index.origin(joined) is Origin.NOWHERE


@given(number=st.decimals(-(10**9), 10**9, places=2), other=st.decimals(-(10**9), 10**9, places=2))
def test_a_number_is_that_number_and_no_other_one(number: Any, other: Any) -> None:
    index = said(f"pay {number}")

    assert index.origin(float(number)) is Origin.USER
    assert (index.origin(float(other)) is Origin.USER) == (float(other) == float(number))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1.000,00", 1), ("1.000,00", 1.0), ("1,5", 15), ("12,34", 1234), ("1,00,000", 100000), ("1_000", 1000), ("1,,000", 1000),
        ("0x10", 16), ("1/2", 0.5), ("1e", 1), ("12-13", -1), ("3,1415", 31415), ("١٢٣", 123), ("½", 0.5), ("10²", 102), ("5k", 5000),
    ],
)  # fmt: skip
def test_a_number_that_is_written_otherwise_elsewhere_is_not_guessed(text: str, wrong: float) -> None:
    assert said(f"pay {text} now").origin(wrong) is Origin.NOWHERE


@pytest.mark.parametrize("date", ["2026-01-12", "12.01.2026", "01/12/2026", "12 January 2026", "20260112"])
def test_a_date_in_another_form_is_asked_about(date: str) -> None:
    assert said("on 12/01/2026, please").origin(date) is Origin.NOWHERE


@given(value=VALUES)
def test_sources_of_another_instance_say_nothing_here(value: str) -> None:
    other = hashed_with("11" * 32)
    held = of_output(
        [account(value)],
        Fields(output_fields(list_accounts)),
        other,
        sensitive=frozenset(),
        is_traced=True,
        is_selected=True,
    )

    assert Index([held, of_words(value, other)], HASHED).origin(value) is Origin.NOWHERE


@given(one=VALUES, other=VALUES)
def test_words_that_stand_apart_make_no_value(one: str, other: str) -> None:
    assume(one != other)

    assert said(f"{one} and {other}").origin(f"{one} {other}") is Origin.NOWHERE
    assert said(one, other).origin(f"{one} {other}") is Origin.NOWHERE


def test_an_id_of_another_kind_and_text_of_others_are_from_nowhere() -> None:
    index = Index([kept([account(note="DE9EVIL", title="DE8TITLE")])], HASHED)

    assert index.origin(4711, kind="file") is Origin.NOWHERE
    assert index.origin(4711) is Origin.NOWHERE
    assert index.origin("DE9EVIL") is Origin.NOWHERE
    assert index.origin("DE8TITLE") is Origin.NOWHERE


def test_facts_of_a_call_with_untraced_arguments_are_no_facts_and_ids_and_own_values_still_count() -> None:
    index = Index([kept([account()], is_traced=False)], HASHED)

    assert index.origin(250) is Origin.NOWHERE
    assert index.origin("DE1") is Origin.LISTED
    assert index.origin(4711, kind="account") is Origin.LISTED


def test_a_record_is_named_by_its_label_or_its_id_and_by_nothing_shorter() -> None:
    records = kept([account("DE1", 4711, "Savings"), account("DE2", 4712, "a")])

    assert Index([records, of_words("move my SAVINGS", HASHED)], HASHED).origin("DE1") is Origin.RECORD
    assert Index([records, of_words("account 4712", HASHED)], HASHED).origin("DE2") is Origin.RECORD
    assert Index([records, of_words("a letter", HASHED)], HASHED).origin("DE2") is Origin.LISTED
    assert Index([records, of_words("saving", HASHED)], HASHED).origin("DE1") is Origin.LISTED


@pytest.mark.parametrize(
    ("one", "other"), [("50", 50), ("50.0", 50), ("$1,200", 1200), ("5e1", 50.0), ("-3", -3)], ids=str
)
def test_a_number_is_the_same_in_every_form(one: str, other: float) -> None:
    assert said(f"pay {one} now").origin(other) is Origin.USER
    assert number(one) == number(other)


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), 10**80, "1e999", "½", "٣", "", None], ids=repr)
def test_what_is_no_number_is_none(value: Any) -> None:
    assert number(value) is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a@b.example", True), ("https://x", True), ("www.x", True), ("evil.example", True), ("12345", True), ("DE00EVIL1", True),
        ("hello", False), ("U.K", False), ("2nd", False), ("x1", False), ("зло.рф", True), ("evil。example", True), ("tel:911", True),
        ("1.2.3.4", True), ("javascript:alert()", True), ("sms:1234", True), ("QWJjZGVmR2hJamts", True), ("Note:yes", False),
        ("McDonaldsAndFriends", True), ("INTERNATIONALISATION", False), ("Internationalisation", False), ("end.", False), ("中国.中国", True),
    ],
)  # fmt: skip
def test_words_that_may_lead_somewhere_are_told_from_others(word: str, expected: bool) -> None:
    assert is_address(word) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111 1111 1111 1111", True), ("DE00 1234 5678 90", True), ("call 012 - 345 - 67", True), ("12\n34\n56", True), ("(12) (34) 5", True),
        ("at 10 or 12 or 14", False), ("room 12 34", False), ("hello", False), ("٤١ ١١ ١١", True),
    ],
)  # fmt: skip
def test_a_number_that_stands_in_groups_in_a_text_is_traced(text: str, expected: bool) -> None:
    body = f"Dear Ann, {text} regards"
    (found,) = [one for one in traced(mail, {"body": body}, said("write to ann")) if one.label == "body"]

    assert (found.origin is Origin.NOWHERE) is expected
    (known,) = [one for one in traced(mail, {"body": body}, said(text)) if one.label == "body"]
    assert known.origin in {Origin.USER, Origin.APP}


class Part(BaseModel):
    to: str
    flag: bool = False


@command("mail.send", effect="transactional")
def mail(to: list[Part], by_name: dict[str, int], body: Annotated[str, Content] = "", sender: str = "none") -> str:
    """Send."""
    return "sent"


def test_every_value_of_an_argument_is_traced_and_so_are_keys_that_a_model_chose() -> None:
    arguments = {
        "to": [{"to": "ann", "flag": True}, {"to": "eve"}],
        "byName": {"ann": 5, "eve": 6},
        "sender": "none",
        "body": "hi eve",
    }

    found = {one.label: one.origin.value for one in traced(mail, arguments, said("write to ann, 5 times"))}
    assert found == {
        "to.*.to": "nowhere",  # the last one counts here; each is traced
        "to.*.flag": "app",
        "byName.ann": "user",
        "byName.ann.(its name)": "user",
        "byName.eve": "nowhere",
        "byName.eve.(its name)": "nowhere",
        "sender": "app",
        "body": "app",
    }
    assert {one.label: one.origin.value for one in traced(mail, arguments, said("ann"), whole=True)}[
        "body"
    ] == "nowhere"


def test_the_least_trusted_of_several_counts() -> None:
    assert least_trusted([Origin.USER, Origin.LISTED, Origin.APP]) is Origin.LISTED
    assert least_trusted([]) is Origin.APP


def test_every_record_of_a_label_is_named_by_it_and_no_other_one() -> None:
    records = kept([account("DE1", 4711, "Savings"), account("DE2", 4712, "Rent"), account("DE3", 4713, "Savings")])
    index = Index([records, of_words("my savings", HASHED)], HASHED)

    assert [index.origin(number) for number in ("DE1", "DE2", "DE3")] == [Origin.RECORD, Origin.LISTED, Origin.RECORD]


def test_a_record_is_named_later_and_by_a_label_of_any_length() -> None:
    index = said("hello")
    index.add([kept([account("DE1", 4711, "The old flat of my aunt"), account("DE2", 4712, "Flat")])])
    assert index.origin("DE1") is Origin.LISTED

    index.add([of_words("what about the OLD flat of my aunt?", HASHED)])
    assert (index.origin("DE1"), index.origin("DE2")) == (Origin.RECORD, Origin.RECORD)


def test_parts_of_two_hashes_are_no_hash() -> None:
    held = kept([account(f"DE{number}", number, f"Account {number}") for number in range(1000, 1200)])
    index = Index([held], HASHED)

    assert index.origin("DE1199") is Origin.LISTED
    values = held.records.values
    shifted = values[1:] + values[0]  # found in the text, and at no place where a hash begins
    assert not any(shifted[at : at + WIDTH] in _Read(held.records) for at in range(0, len(values) - WIDTH, WIDTH))


def test_what_is_kept_beside_the_hashes_of_values_is_less_than_a_tenth_of_what_was_read() -> None:
    letters = [account(note="The quick brown fox jumps over the lazy dog. " * 20, key=key) for key in range(1000, 1100)]
    held = kept(letters)

    beside = len(canonical_json(held.to_json())) - len(held.records.values)
    assert len(held.records.values) == 3 * 100 * WIDTH
    assert beside < len(canonical_json(letters)) / 10
