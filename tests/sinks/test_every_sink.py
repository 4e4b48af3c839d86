"""Every way out for text of others, held against one corpus of hostile texts; a new one fails until it is listed here."""

import csv
import html as html_of_python
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

import interlock
from interlock.cli.support._terminal import SafeConsole
from interlock.tools import sinks
from tests.sinks.hostile import TEXTS, live

KEEPS_LINES = {"terminal", "markup", "html", "quoted_json"}
"""Where several lines are shown as such; everywhere else a line feed is shown and begins nothing."""
ONE_LINE = {"line", "short", "svg", "mermaid", "csv_cell", "log_text", "json_text", "json_line", "quoted"}
ANY_TEXT = st.text(st.characters(), max_size=60) | st.sampled_from([*TEXTS.values()])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", sinks.SINKS)
def test_nothing_live_leaves_through_any_sink(name: str, text: str) -> None:
    shown = sinks.SINKS[name](text)

    assert live(shown, lines=name in KEEPS_LINES) == []
    shown.encode("utf-8")


def test_every_sink_is_listed_with_whether_it_keeps_lines() -> None:
    assert {*sinks.SINKS} == KEEPS_LINES | ONE_LINE
    assert not KEEPS_LINES & ONE_LINE
    assert {*sinks.SINKS} <= {*sinks.__all__}


@given(ANY_TEXT)
@pytest.mark.parametrize("name", sinks.SINKS)
def test_a_sink_is_total_and_shows_ordinary_text_as_it_is(name: str, text: str) -> None:
    assert live(sinks.SINKS[name](text), lines=name in KEEPS_LINES) == []
    assert "order 77" in sinks.SINKS[name]("order 77")


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Lying(str):
    def __str__(self) -> str:
        return "\x1b[2J"


@pytest.mark.parametrize(
    "value", [None, 1, b"\x1b", Broken(), Lying("fine"), {"a": "\u202e"}, ["\x1b"], ValueError("\r")]
)
@pytest.mark.parametrize("name", sinks.SINKS)
def test_a_sink_takes_anything(name: str, value: object) -> None:
    assert live(sinks.SINKS[name](value), lines=name in KEEPS_LINES) == []


@given(ANY_TEXT)
def test_making_text_visible_twice_changes_nothing_more(text: str) -> None:
    once = sinks.terminal(text)
    assert sinks.terminal(once) == once


@pytest.mark.parametrize(
    "text", ["Größe 5 µm", "प्रत्येक", "العربية", "ภาษาไทย", "日本語", "❤️ 👍", "a → b", "e\u0301", "Nguyễn"]
)
def test_what_people_write_in_any_script_is_shown_as_it_is(text: str) -> None:
    assert sinks.terminal(text) == sinks.line(text) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_svg_and_html_hold_a_text_in_elements_and_attributes_as_one_text(text: str) -> None:
    document = f"<svg a=\"{sinks.svg(text)}\" b='{sinks.svg(text)}'><text>{sinks.svg(text)}</text></svg>"

    root = ET.fromstring(document)

    assert [element.tag for element in root.iter()] == ["svg", "text"]
    assert root.attrib == {"a": sinks.line(text), "b": sinks.line(text)}
    assert root[0].text == sinks.line(text)
    assert html_of_python.unescape(sinks.html(text)) == sinks.terminal(text)
    assert not re.search(r"[<>\"']", sinks.html(text))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_markup_of_rich_shows_a_text_between_tags_as_it_stands(text: str) -> None:
    shown = Text.from_markup(f"[bold]{sinks.markup(text)}[/bold]!", emoji=False)

    expected = sinks.terminal(text)
    whole = expected.rstrip("\\")
    assert shown.plain == whole + r"\u005c" * (len(expected) - len(whole)) + "!"
    assert {str(span.style) for span in shown.spans} <= {"bold"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_label_of_mermaid_holds_no_mark_of_mermaids(text: str) -> None:
    label = sinks.mermaid(text)

    bare = re.sub(r"#(?:quot|lt|gt|[0-9]+);", "", label)
    assert not re.search(r"[\"<>:;#%{}`\\$*&|~^@]|--", bare)
    decoded = re.sub(
        r"#(\w+);", lambda found: html_of_python.unescape(f"&{'#' if found[1].isdigit() else ''}{found[1]};"), label
    )
    assert decoded == sinks.line(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_cell_is_one_cell_and_no_formula(text: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerow([sinks.csv_cell(text), "next"])

    ((cell, following),) = csv.reader(io.StringIO(file.getvalue()))

    assert following == "next"
    assert not cell.lstrip(' "').startswith(("=", "+", "-", "@", "|", "%", "\uff1d"))


@pytest.mark.parametrize("number", ["-5", "-0.25", "12", "1e-7"])
def test_a_number_in_a_cell_stays_a_number(number: str) -> None:
    assert sinks.csv_cell(number) == number


@pytest.mark.parametrize("text", [text for text in TEXTS.values() if not re.search("[\ud800-\udfff]", text)])
def test_printed_json_reads_back_as_the_same_value(text: str) -> None:
    value = {"text": text, text: [text]}

    assert json.loads(sinks.json_text(value)) == value
    assert json.loads(sinks.json_line(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_quotation_ends_only_where_it_is_ended(text: str) -> None:
    shown = sinks.quoted(text)

    assert "\n" not in shown
    assert re.fullmatch(r'"(?:[^"]|\\")*"', shown)
    assert not re.search(r'(?<!\\)"', shown[1:-1])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("wrap", [str, Text], ids=["text", "rich text"])
def test_a_console_shows_what_nobody_thought_of_making_visible(wrap: type, text: str) -> None:
    file = io.StringIO()

    SafeConsole(file=file, width=200, force_terminal=False).print(wrap(text))

    assert live(file.getvalue(), lines=True) == []


def test_a_console_reads_neither_markup_nor_names_of_emoji() -> None:
    file = io.StringIO()
    SafeConsole(file=file, width=200).print("[link=http://evil.example]click[/link] :warning: [bold]x[/bold]")

    assert file.getvalue() == "[link=http://evil.example]click[/link] :warning: [bold]x[/bold]\n"
    assert issubclass(SafeConsole, Console)


SOURCES = Path(interlock.__file__).parent
ITS_OWN_WAY = {
    r"from html import|html\.escape|saxutils": {"tools/sinks/_markup.py"},
    r"logging\.getLogger": {"tools/sinks/_logs.py"},
    r"\bConsole\(": {"cli/support/_terminal.py"},
    r"unicodedata\.category": {"tools/sinks/_visible.py", "workflows/retail/rules.py", "rules/origins/words.py"},
    r"csv\.(?:writer|DictWriter)": {"rules/claims/access.py"},
    r"from rich\.markup|from_markup": set(),
}


@pytest.mark.parametrize("pattern", ITS_OWN_WAY)
def test_no_module_escapes_or_logs_in_a_way_of_its_own(pattern: str) -> None:
    found = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if re.search(pattern, path.read_text("utf-8"))
    }

    assert found <= ITS_OWN_WAY[pattern], (
        "take the way out of tools/sinks, or list it here and hold it against the corpus"
    )


def test_every_picture_of_svg_takes_the_way_out_of_sinks() -> None:
    drawing = {path.name for path in (SOURCES / "pictures").glob("*.py") if "<svg" in path.read_text("utf-8")}

    assert drawing == {"svg.py", "card.py", "timeline.py", "side_by_side.py", "comparison.py"}
    for name in drawing:
        assert "from ..tools.sinks import" in (SOURCES / "pictures" / name).read_text("utf-8"), name
