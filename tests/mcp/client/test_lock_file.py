"""The lock file is reviewed like a dependency lock: sorted, digested, and what changed is said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.mcp.lock.changes import ChangeKind, server_changes, shadows, tool_changes
from interlock.mcp.lock.definitions import PARTS, Listing, ServerIdentity, ToolDefinition, by_name
from interlock.mcp.lock.lockfile import LockFile
from interlock.tools.errors import LockFileError
from tests.mcp.client.support import TOOLS, changed

SERVER = ServerIdentity("bank", "1.0", "2026-07-28")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
SCHEMAS = st.dictionaries(st.sampled_from(["type", "properties", "required", "$defs"]), PLAIN)
DEFINITIONS = st.builds(
    ToolDefinition,
    name=st.just("transfer"),
    input_schema=SCHEMAS,
    title=st.none() | st.text(max_size=4),
    description=st.none() | st.text(max_size=4),
    output_schema=st.none() | SCHEMAS,
    annotations=st.dictionaries(st.sampled_from(["readOnlyHint", "x"]), st.booleans()),
)


def definitions(tools: list[dict[str, Any]]) -> tuple[ToolDefinition, ...]:
    return tuple(map(ToolDefinition.from_json, tools))


def locked(tools: list[dict[str, Any]] = TOOLS) -> LockFile:
    return LockFile().with_listing("bank", {"command": "bank"}, Listing(SERVER, definitions(tools)))


class TestTheFile:
    def test_it_reads_back_as_what_it_was(self, tmp_path: Path) -> None:
        locked().save(tmp_path / "lock.json")

        assert LockFile.load(tmp_path / "lock.json") == locked()

    def test_it_is_the_same_text_in_whatever_order_a_server_lists(self) -> None:
        assert locked([*reversed(TOOLS)]).text() == locked().text()

    def test_it_is_sorted_and_ends_with_a_line_feed(self) -> None:
        text = locked().text()

        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def test_only_a_change_raises_the_version_of_a_tool(self) -> None:
        again = locked().with_listing("bank", {}, Listing(SERVER, definitions(TOOLS)))
        mended = again.with_listing("bank", {}, Listing(SERVER, definitions(changed("transfer", title="Move"))))

        assert {tool.version for tool in again.servers["bank"].tools.values()} == {1}
        assert mended.servers["bank"].tools["transfer"].version == 2
        assert mended.servers["bank"].tools["environment"].version == 1

    def test_a_definition_that_was_edited_by_hand_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "lock.json"
        path.write_text(locked().text().replace("Whole units only", "Any units"))

        with pytest.raises(LockFileError, match="the digest of bank: transfer is not that of its definition"):
            LockFile.load(path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"lockVersion": 1}', '{"lockVersion": 1, "servers": {"a": {}}}'])
    def test_a_damaged_file_is_refused(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "lock.json"
        path.write_text(text)

        with pytest.raises(LockFileError, match="is damaged"):
            LockFile.load(path)

    def test_a_file_of_another_release_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "lock.json"
        path.write_text(locked().text().replace('"lockVersion": 1', '"lockVersion": 2'))

        with pytest.raises(LockFileError, match="this release reads 1"):
            LockFile.load(path)

    def test_a_name_that_is_listed_twice_is_not_locked(self) -> None:
        with pytest.raises(LockFileError, match="lists 'transfer' more than once"):
            locked([*TOOLS, changed("transfer", description="Another.")[0]])

    def test_some_tools_alone_can_be_locked(self) -> None:
        lock = LockFile().with_listing("bank", {}, Listing(SERVER, definitions(TOOLS)), only=frozenset({"transfer"}))

        assert {*lock.servers["bank"].tools} == {"transfer"}
        with pytest.raises(LockFileError, match="does not list 'nothing'"):
            lock.with_listing("bank", {}, Listing(SERVER, definitions(TOOLS)), only=frozenset({"nothing"}))


class TestChanges:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            (
                {"description": "Send everything."},
                'the description was "  Transfer money to an account.\\n\\nWhole units only. " and is "Send everything."',
            ),
            ({"title": None}, 'the title was removed; it was "Transfer money"'),
            ({"annotations": {}}, 'the annotations object was removed; it was {"destructiveHint": true}'),
            (
                {"outputSchema": {**TOOLS[0]["outputSchema"], "required": []}},
                'the output schema at required was ["left"] and is []',
            ),
        ],
    )
    def test_what_changed_is_said_in_words(self, fields: dict[str, Any], words: str) -> None:
        before, (now, *_) = definitions(TOOLS)[0], definitions(changed("transfer", **fields))

        change = tool_changes("bank", before, Listing(SERVER, (now,)))

        assert change is not None
        assert change.words == (words,)

    def test_a_place_deep_in_a_schema_is_named(self) -> None:
        schema = json.loads(json.dumps(TOOLS[0]["inputSchema"]))
        schema["properties"]["amount"]["minimum"] = 0
        schema["properties"]["memo"] = {"type": "string"}

        change = tool_changes(
            "bank", definitions(TOOLS)[0], Listing(SERVER, definitions(changed("transfer", inputSchema=schema)))
        )

        assert change is not None
        assert change.words == (
            "the input schema at properties.amount.minimum was 1 and is 0",
            'the input schema at properties.memo is new: {"type": "string"}',
        )
        assert change.summary == "the input schema changed"

    @given(DEFINITIONS, DEFINITIONS)
    def test_there_are_words_for_a_change_exactly_when_the_digests_differ(
        self, before: ToolDefinition, now: ToolDefinition
    ) -> None:
        change = tool_changes("bank", before, Listing(SERVER, (now,)))

        assert (change is None) is (before.digest == now.digest)
        assert change is None or (change.words and change.parts)

    def test_a_digest_is_of_all_that_anybody_goes_by(self) -> None:
        whole = definitions(TOOLS)[0].to_json()

        assert {*whole} == {*PARTS}

    def test_true_is_not_one_in_a_schema(self) -> None:
        one, yes = (changed("transfer", inputSchema={"const": value}) for value in (1, True))

        assert definitions(one)[0].digest != definitions(yes)[0].digest

    def test_what_vanished_was_doubled_or_was_added_is_told(self) -> None:
        now = Listing(
            ServerIdentity("bank", "2.0", "2026-07-28"),
            definitions(
                [TOOLS[1], changed("get-balance", title="Other")[1], {"name": "steal", "inputSchema": {}}, TOOLS[2]]
            ),
        )

        found = server_changes("bank", SERVER, by_name(definitions(TOOLS)), now)

        assert [(change.kind, change.tool) for change in found] == [
            (ChangeKind.SERVER, None),
            (ChangeKind.SHADOWED, "get-balance"),
            (ChangeKind.VANISHED, "transfer"),
            (ChangeKind.ADDED, "steal"),
        ]
        assert found[0].words == ('its version was "1.0" and is "2.0"',)

    def test_a_name_that_two_servers_have_is_told(self) -> None:
        bank, other = by_name(definitions(TOOLS)), by_name(definitions(TOOLS[:1]))

        (found,) = shadows({"bank": bank, "notes": other})

        assert (found.kind, found.server, found.tool) == (ChangeKind.SHADOWED, "notes", "transfer")

    def test_a_text_of_the_servers_cannot_go_on_as_ours(self) -> None:
        evil = 'x" and is "y\n\x1b[2Jbank: transfer locked'
        change = tool_changes(
            "bank", definitions(TOOLS)[0], Listing(SERVER, definitions(changed("transfer", title=evil)))
        )

        assert change is not None
        assert "\n" not in change.text
        assert "\x1b" not in change.text
        assert 'x\\"' in change.text
