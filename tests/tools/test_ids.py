"""Identifiers: minted in order, derived stably."""

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.tools import derive, mint

SHAPE = re.compile(r"audit_[0-9a-hjkmnp-tv-z]{26}")
PARTS = st.lists(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), max_size=4)


def test_minted_ids_are_url_safe_and_sort_in_the_order_they_were_minted() -> None:
    ids = [mint("audit") for _ in range(5_000)]

    assert all(SHAPE.fullmatch(one) for one in ids)
    assert ids == sorted(set(ids))


def test_ids_minted_by_many_threads_differ() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [one for some in pool.map(lambda _: [mint("audit") for _ in range(500)], range(8)) for one in some]

    assert len(set(ids)) == len(ids)


def test_the_order_holds_when_the_clock_stands_still_or_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mint("audit")
    monkeypatch.setattr("time.time_ns", lambda: 0)

    assert before < mint("audit") < mint("audit")


def _mint_some(_: int) -> list[str]:
    return [mint("audit") for _ in range(200)]


def test_ids_minted_by_forked_processes_differ() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        ids = [one for some in pool.map(_mint_some, range(4), chunksize=1) for one in some]

    assert len(set(ids)) == len(ids)


def test_a_derived_id_is_the_same_in_every_process_and_release() -> None:
    assert derive("audit", "wf_1", 2) == derive("audit", "wf_1", 2) == "audit_e5bnjfkjntw8ywvjqec86sts48"
    assert SHAPE.fullmatch(derive("audit"))


@given(PARTS, PARTS)
def test_different_parts_derive_different_ids(one: list[str], other: list[str]) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]

    assert (derive("wf", *one) == derive("wf", *other)) is same


@pytest.mark.parametrize("prefix", ["", "Audit", "1a", "a_b", "a-b", "a\n"])
def test_a_prefix_that_would_make_ids_ambiguous_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="id prefix"):
        mint(prefix)
    with pytest.raises(ValueError, match="id prefix"):
        derive(prefix, "a")
