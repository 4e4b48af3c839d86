"""What is answered, recorded and kept of each story is what the committed files say, word for word."""

from __future__ import annotations

import json

import pytest

from tests.commands.records.stories import STORIES
from tests.commands.records.telling import GOLDEN


@pytest.mark.parametrize("name", STORIES)
def test_everything_that_is_said_and_kept_of_it_is_as_it_was_reviewed(name: str) -> None:
    told = STORIES[name]().told()

    assert told == json.loads((GOLDEN / f"{name}.json").read_text())
    assert told["verified"] == []
    assert "4111-1111" not in json.dumps(told["records"]), "a sensitive value is in no record"
    assert "s-e-c-r-e-t" not in json.dumps(told), "what a rule or a body raised is for the log alone"


def test_there_is_a_file_for_each_story_and_no_other() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*STORIES}
