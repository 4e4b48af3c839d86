"""The check of the prose finds what it is for, and leaves alone what is fine."""

from __future__ import annotations

import pytest
from scripts.prose import rules, texts

RULES = rules.load()


def found(words: str, place: str = "manual") -> list[str]:
    return [finding.found.lower() for finding in rules.check([rules.Text(place, "page.md", 1, words)], RULES)]


@pytest.mark.parametrize(
    ("sentence", "refused"),
    [
        ("The next tick lets the thread go on.", "go on"),
        ("Weaker is what hangs on the checkpoints themselves.", "weaker is what"),
        ("What stands in brackets is what it was before nodes wrote only the channels that changed.", "stands in"),
        ("Nothing was done; mend the rule and propose the call anew.", "mend"),
        ("The attempt broke off, and nobody knows whether it happened.", "broke off"),
        ("An effect is under way.", "under way"),
        ("A model is asked in vain.", "in vain"),
        ("The rows are deleted, for good.", "for good"),
        ("It is asked once more.", "once more"),
        ("Whoever proposed it may withdraw it.", "whoever"),
        ("The other one is told so.", "is told"),
        ("A checkpoint that is gone cannot be read.", "is gone"),
        ("The job is put back.", "put back"),
        ("It ends by itself.", "by itself"),
        ("Give each of them a file of its own.", "file of its own"),
        ("This is no event.", "is no event"),
        ("Calls are held against the schema.", "held against"),
        ("The same, save where a rule says otherwise.", "save where"),
        ("It returns what came of it.", "came of"),
        ("The row names whom it is for.", "whom it is"),
        ("The listener tells what happened.", "tells what"),
        ("A digest is never believed.", "is never believed"),
        ("Only digits are let in.", "let in"),
        ("It hands them on to the next handler.", "hands them on"),
        ("It waits for ever.", "for ever"),
        ("Its proposer hears of it.", "hears of"),
        ("The worker writes down how it ended.", "writes down"),
        ("A file that is not there is created.", "is not there"),
    ],
)
def test_a_sentence_that_a_reader_has_to_turn_round_is_refused(sentence: str, refused: str) -> None:
    assert refused in found(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The next tick resumes the thread.",
        "Events go on the wire as JSON.",
        "There is no event with this id.",
        "Keep bodies short for good reasons.",
        "What happens when the process dies?",
        "Each worker uses its own connection.",
        "The name stands for one segment.",
        "This is the same for every call.",
        "The two cases can be told apart.",
        "The tool says no.",
    ],
)
def test_plain_sentences_pass(sentence: str) -> None:
    assert found(sentence) == []


def test_code_headings_and_links_are_not_prose() -> None:
    page = "# What stands in a row\n\nUse `go on`, see [the page](on-whose-behalf-it-goes on.md).\n\n```sh\necho anew\n```\n"
    assert [*rules.check(texts.page("page.md", page), RULES)] == []


def test_a_finding_names_the_line_of_its_paragraph_or_cell() -> None:
    page = "Fine.\n\nThis paragraph\nis written anew.\n\n| a | b |\n|---|---|\n| fine | told anew |\n"
    assert [finding.text.line for finding in rules.check(texts.page("page.md", page), RULES)] == [3, 8]


def test_strings_of_the_source_are_messages_and_docstrings_are_checked_by_their_own_rules() -> None:
    code = '"""Whoever asks, mends it."""\nfail("It is told by itself here.")\nname = "anew"\n'
    checked = [
        (one.text.place, one.found.lower()) for one in rules.check(texts.source("src/interlock/x.py", code), RULES)
    ]
    assert checked == [("docstrings", "mends"), ("messages", "is told"), ("messages", "by itself")]


def test_the_help_of_the_command_line_counts_as_messages() -> None:
    code = '"""Run the thread of whoever asks."""\n'
    assert [one.place for one in texts.source("src/interlock/cli/x.py", code)] == ["messages"]


def test_a_rule_for_a_place_that_does_not_exist_is_refused(tmp_path) -> None:
    words = tmp_path / "words.toml"
    words.write_text("[[rule]]\npattern = 'x'\nwrite = 'y'\nin = ['poems']\n")
    with pytest.raises(ValueError, match="poems"):
        rules.load(words)
