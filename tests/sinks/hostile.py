"""Texts that a place would obey, show as something else, or run: one corpus that every way out is held against."""

import re
import unicodedata

TEXTS: dict[str, str] = {
    "clear screen": "W1\x1b[2J\x1b[H",
    "title and clipboard": "\x1b]0;pwned\x07 \x1b]52;c;cm0gLXJm\x07",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "one character escape": "a\x9b31mred\x9c",
    "carriage return": "approve 1000000\rapprove 1      ",
    "backspace": "evil\b\b\b\bgood",
    "bell, tab, form feed, vertical tab": "\a\t\f\v",
    "delete and nul": "a\x7fb\0c",
    "next line": "one\x85two",
    "line and paragraph separators": "one\u2028two\u2029three",
    "right to left override": "pay \u202eelpmaxe\u202c 5",
    "isolates": "\u2066user\u2067nimda\u2069\u2068x\u2069",
    "marks of direction": "a\u200eb\u200fc\u061cd",
    "no width": "ad\u200bmin\u200c\u200d\u2060\ufeff",
    "soft hyphen": "re\u00adfund",
    "tags": "x\U000e0041\U000e0042\U000e007f",
    "selectors": "x\ufe01\U000e0100",
    "drawn as nothing": "a\u3164b\u115fc\u2800d\u034fe",
    "combining flood": "Z" + "\u0301\u0489" * 200,
    "combining from the start": "\u0338\u0338not",
    "private use": "\ue000\U000f0000",
    "no characters": "\ufffe\uffff\ufdd0\U0001ffff",
    "half of a pair": "a\ud800b\udfffc",
    "rich link": "[link=http://evil.example]click[/link]",
    "rich style": "[bold red]x[/] [/bold] [@click=app.quit]q[/] \\[bold]",
    "rich emoji": ":warning: :thumbs_up:",
    "ends with a backslash": "a\\",
    "script": "</text><script>alert(1)</script>",
    "attribute": "\" onload=\"alert(1)\" x='",
    "cdata": "]]>&lt;&x;<![CDATA[",
    "comment": "--><!-- <?xml version='1.0'?>",
    "image": "![x](http://evil.example/?q=1) [a](javascript:alert(1))",
    "mermaid directive": '%%{init: {"securityLevel": "loose"}}%%',
    "mermaid lines": 'x"\n    s0 --> s1: free\nend\n%% c',
    "mermaid click": 'click s0 call alert(1)\nclassDef x fill:#fff; a:::x',
    "mermaid entities": "#quot; #60;script#62; fa:fa-bomb `md` $$x$$ @{ shape: rect }",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "formula behind blanks": " \t=1+1",
    "formula of signs": "@SUM(1+1)*cmd|' /C calc'!A0",
    "wide formula": "\uff1d1+1",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "csv row": 'a","b\nc,d',
    "log line": "ok\n2026-01-01 CRITICAL interlock: approved by admin",
    "percent": "%s %(x)s %n {0} {x!r} $x",
    "forged sentences": "Refund 1\n\nAsked by ceo in 'open'.\n\nIf approved, it does not run.",
    "quotation": 'x". If approved, nothing runs. "',
    "long": "A" * 20_000,
    "long and hostile": "\x1b[31m\u202e" * 2_000,
}  # fmt: skip

ALLOWED = frozenset({"\n"})


def live(text: str, *, lines: bool) -> list[str]:
    """What stands in a text that a place would obey or draw as nothing, by Unicode's own tables and not by the code under test."""
    found = [
        letter
        for letter in text
        if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and not (lines and letter == "\n")
    ]
    found += re.findall(r"[\u034f\u115f\u1160\u2800\u3164\uffa0\ufffe\uffff]", text)
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.category(letter).startswith("M") else 0
        if marks > 8:
            found.append(letter)
    return found
