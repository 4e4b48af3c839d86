"""Draws a workflow as SVG: states as boxes with their reads, edges as arrows, and the current state.

It must look the same in JupyterLab, in VS Code, on GitHub and on nbviewer: only presentation attributes, no style sheet, script,
marker or font of its own, an opaque background, and no information by colour alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..tools.sinks import svg as escape
from .layout import Size, lay_out
from .lights import BoxLight, Light, Lights
from .picture_data import Drawing, DrawnEdge, DrawnState
from .themes import Theme, themed

FONT = "Helvetica, Arial, sans-serif"
_MARGIN = 18.0
_TITLE_SIZE, _ROW_SIZE, _NOTE_SIZE = 14.0, 12.0, 11.0
_ROW, _HEAD, _PAD = 18.0, 30.0, 12.0
STEPS = "Steps"
"""The heading of the steps below a picture."""
_PERSON = 13.0
"""The width of the symbol for a person who decides."""


@dataclass(frozen=True)
class _Colours:
    ink: str = "#1f2933"
    faint: str = "#66727f"
    paper: str = "#ffffff"
    box: str = "#f7f9fb"
    rule: str = "#cbd2d9"
    line: str = "#52606d"
    lit: str = "#0b6bcb"
    lit_box: str = "#e3f0fd"
    read: str = "#3a7d44"
    command: str = "#b44d12"
    event: str = "#6b46a8"
    person: str = "#8a5a00"
    final: str = "#e4e7eb"
    wait: str = "#fff8e1"


C = _Colours()
_KINDS = {"read": ("○", C.read), "command": ("●", C.command), "event": ("◆", C.event)}
_MARKS = {"deadline": ("◷", C.line), "failure": ("✕", C.command), "event": ("◇", C.event), "cancel": ("✕", C.line)}


@dataclass(frozen=True)
class _Line:
    mark: str
    colour: str
    text: str
    note: str = ""
    asked: str = ""
    """Who has to decide first."""
    is_dim: bool = False
    is_lit: bool = False


@dataclass(frozen=True)
class _Columns:
    """The left offsets of the columns of aligned lines, and the total width."""

    asked: float
    note: float
    width: float

    @classmethod
    def of(cls, lines: Sequence[_Line]) -> "_Columns":
        # Bold text is a little wider; reserve the width, so that nothing moves when a line is highlighted.
        longest = max(
            (text_width(line.text, _ROW_SIZE) * 1.06 for line in lines if line.asked or line.note), default=0.0
        )
        asked = 16 + longest + 8
        note = asked + max(
            (_PERSON + text_width(line.asked, _NOTE_SIZE) + 8 for line in lines if line.asked), default=0.0
        )
        ends = [16 + text_width(line.text, _ROW_SIZE) for line in lines]
        ends += [asked + _PERSON + text_width(line.asked, _NOTE_SIZE) for line in lines if line.asked]
        ends += [note + text_width(line.note, _NOTE_SIZE) for line in lines if line.note]
        return cls(asked, note, max(ends, default=0.0))


def to_svg(drawing: Drawing, lights: Lights | None = None, theme: Theme | None = None) -> str:
    """Draw a workflow.

    Args:
        drawing: The workflow.
        lights: The highlights, if any.
        theme: The colours; by default those chosen with `use_theme`.

    Returns:
        A complete SVG document, the same text for the same input on every machine.
    """
    arrows = _arrows(drawing, lights)
    inside = {state.name: _inside(state, lights) for state in drawing.states}
    boxes = {state.name: _box_size(state, inside[state.name], lights) for state in drawing.states}
    labels = {arrow: _label_size(lines) for arrow, lines in arrows.items()}
    layout = lay_out(boxes, labels)
    title = f"{drawing.workflow} v{drawing.version}"
    head = 26.0
    legend = _legend(drawing)
    caption = () if lights is None else tuple(lights.caption)
    # At least as wide as the text above and below the picture.
    below = max([_legend_width(legend), *(text_width(line, _ROW_SIZE) for line in caption)])
    wide = max(layout.width, text_width(title, 15) + 60, below)
    foot = len(caption) * _ROW + (8 if caption else 0)
    width, height = wide + 2 * _MARGIN, layout.height + 2 * _MARGIN + head + 34 + 26 + foot
    left, top = _MARGIN + (wide - layout.width) / 2, _MARGIN + head + 18
    parts: list[str] = []
    first = drawing.states[0]
    x, y = layout.boxes[first.name]
    parts += _start(left + x, top + y - boxes[first.name].height / 2)
    for arrow, points in layout.arrows.items():
        lit = any(line.is_lit for line in arrows[arrow])
        parts += _arrow([(left + x, top + y) for x, y in points], lit=lit, dim=all(one.is_dim for one in arrows[arrow]))
    for arrow, (x, y) in layout.labels.items():
        parts += _label(left + x, top + y, labels[arrow], arrows[arrow])
    for state in drawing.states:
        x, y = layout.boxes[state.name]
        light = BoxLight(is_lit=False) if lights is None else lights.of_box(state)
        parts += _box(left + x, top + y, boxes[state.name], state=state, lines=inside[state.name], light=light)
    parts += _legend_row(_MARGIN, height - _MARGIN - 6 - foot, legend)
    for number, line in enumerate(caption):
        at = height - _MARGIN - 6 - foot + 8 + (number + 1) * _ROW
        parts.append(
            _text(_MARGIN, at, line, _ROW_SIZE, C.ink, weight="bold" if number == 0 or line.startswith(STEPS) else "")
        )
    notes = f" - {lights.title}" if lights is not None else ""
    drawn = "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
            f'viewBox="0 0 {_n(width)} {_n(height)}" font-family="{FONT}" role="img">',
            f"<title>{escape(title + notes)}</title>",
            f'<rect x="0" y="0" width="{_n(width)}" height="{_n(height)}" fill="{C.paper}"/>',
            _text(_MARGIN, _MARGIN + 12, title, 15, C.ink, weight="bold"),
            *parts,
            "</svg>",
        ]
    )
    return themed(drawn, theme)


def text_width(text: str, size: float) -> float:
    """The approximate width of a text in the fonts that browsers use for Helvetica."""
    narrow, wide = set("iljtfrI.,:;'|!()[] "), set("mwMWOQGC@%&")
    units = sum(0.33 if letter in narrow else 0.86 if letter in wide else 0.58 for letter in text)
    return units * size


# Text


def _inside(state: DrawnState, lights: Lights | None) -> list[_Line]:
    return [_line(edge, state, lights) for edge in state.edges if edge.target == state.name]


def _arrows(drawing: Drawing, lights: Lights | None) -> dict[tuple[str, str], list[_Line]]:
    found: dict[tuple[str, str], list[_Line]] = {}
    for state in drawing.states:
        for edge in state.edges:
            if edge.target != state.name:
                found.setdefault((state.name, edge.target), []).append(_line(edge, state, lights))
        for end in state.ends:
            if end.target != state.name:
                mark, colour = _MARKS[end.kind]
                light = _PLAIN if lights is None else lights.of_end(state, end)
                found.setdefault((state.name, end.target), []).append(
                    _Line(mark, colour, end.words, light.note or "", is_lit=light.is_lit, is_dim=light.is_dim)
                )
    return found


_PLAIN = Light(is_lit=False, is_dim=False)


def _line(edge: DrawnEdge, state: DrawnState, lights: Lights | None) -> _Line:
    mark, colour = _KINDS[edge.kind]
    light = _PLAIN if lights is None else lights.of_edge(state, edge)
    return _Line(
        mark,
        colour,
        edge.tool + ("" if edge.moves or edge.kind == "read" else " ↻"),
        (edge.condition or "") if light.note is None else light.note,
        "" if light.hides_asked else edge.approval or "",
        is_dim=light.is_dim,
        is_lit=light.is_lit,
    )


def _box_size(state: DrawnState, lines: Sequence[_Line], lights: Lights | None) -> Size:
    word = None if lights is None else lights.of_box(state).word
    kind = max(text_width(text, _NOTE_SIZE) for text in (_kind(state), word or ""))
    widest = max(
        [
            text_width(state.name, _TITLE_SIZE) + kind + 26,
            _Columns.of(lines).width,
        ]
    )
    return Size(widest + 2 * _PAD, _HEAD + (len(lines) * _ROW + 8 if lines else 4))


def _label_size(lines: Sequence[_Line]) -> Size:
    return Size(_Columns.of(lines).width + 10, len(lines) * 16 + 4)


def _kind(state: DrawnState) -> str:
    return {"reasoning": "model", "function": "function", "node": "node", "resting": "rests", "waiting": "wait"}.get(
        state.kind, state.kind
    )


def _legend(drawing: Drawing) -> list[tuple[str, str, str]]:
    kinds = {edge.kind for state in drawing.states for edge in state.edges}
    rows: list[tuple[str, str, str]] = [(*_KINDS[kind], kind) for kind in ("read", "command", "event") if kind in kinds]
    if any(edge.approval for state in drawing.states for edge in state.edges):
        rows.append(("", C.person, "a person decides"))
    for state in drawing.states:
        for end in state.ends:
            row = (
                *_MARKS[end.kind],
                {"event": "event in", "deadline": "deadline", "failure": "failure", "cancel": "cancel"}[end.kind],
            )
            if row not in rows:
                rows.append(row)
    return rows


def _legend_width(rows: Iterable[tuple[str, str, str]]) -> float:
    return sum(text_width(word, _NOTE_SIZE) + 34 for _, _, word in rows)


# Drawing


def _box(x: float, y: float, size: Size, *, state: DrawnState, lines: Sequence[_Line], light: BoxLight) -> list[str]:
    left, top = x - size.width / 2, y - size.height / 2
    here = light.is_lit
    shade = C.person if light.waits else C.lit
    fill = (
        (C.wait if light.waits else C.lit_box)
        if here
        else C.final
        if state.is_final
        else C.wait
        if any(end.kind != "cancel" for end in state.ends)
        else C.box
    )
    stroke, width = (shade, 2.5) if here else (C.rule, 1.2)
    parts = []
    if here:
        parts.append(
            _rect(
                left - 5,
                top - 5,
                size.width + 10,
                size.height + 10,
                "none",
                stroke=shade,
                stroke_width=1.0,
                radius=13,
                dashes="4 4" if light.waits else "",
            )
        )
    parts.append(_rect(left, top, size.width, size.height, fill, stroke=stroke, stroke_width=width))
    if state.is_final:
        parts.append(
            _rect(left + 3, top + 3, size.width - 6, size.height - 6, "none", stroke=C.rule, stroke_width=1.0, radius=6)
        )
    name = state.name + (" ✓" if light.is_ticked else "")
    parts.append(_text(left + _PAD, top + 20, name, _TITLE_SIZE, shade if here else C.ink, weight="bold"))
    kind = _kind(state) if light.word is None else light.word
    parts.append(_text(left + size.width - _PAD, top + 20, kind, _NOTE_SIZE, shade if here else C.faint, anchor="end"))
    columns = _Columns.of(lines)
    for number, line in enumerate(lines):
        parts += _written(left + _PAD, top + _HEAD + 14 + number * _ROW - 2, line, columns)
    return parts


def _label(x: float, y: float, size: Size, lines: Sequence[_Line]) -> list[str]:
    left, top = x - size.width / 2, y - size.height / 2
    parts = [_rect(left, top, size.width, size.height, C.paper, stroke="none", stroke_width=0, radius=4)]
    columns = _Columns.of(lines)
    for number, line in enumerate(lines):
        parts += _written(left + 5, top + 13 + number * 16, line, columns)
    return parts


def _written(x: float, y: float, line: _Line, columns: _Columns) -> list[str]:
    colour = C.faint if line.is_dim else line.colour
    ink = C.faint if line.is_dim else C.ink
    weight = "bold" if line.is_lit else "normal"
    parts = [
        _text(x, y, line.mark, _ROW_SIZE, colour),
        _text(x + 16, y, line.text, _ROW_SIZE, ink, weight=weight),
    ]
    if line.asked:
        shade = C.faint if line.is_dim else C.person
        at = x + columns.asked
        parts += [_person(at, y, shade), _text(at + _PERSON, y, line.asked, _NOTE_SIZE, shade)]
    if line.note:
        parts.append(_text(x + columns.note, y, line.note, _NOTE_SIZE, C.faint, style="italic"))
    return parts


def _arrow(points: Sequence[tuple[float, float]], *, lit: bool, dim: bool) -> list[str]:
    colour, width = (C.lit, 2.2) if lit else (C.rule, 1.2) if dim else (C.line, 1.4)
    (x, y), *_ = points
    path = f"M{_n(x)} {_n(y)}"
    leans = _leans(points)
    for (to_x, to_y), lean, next_lean in zip(points[1:], leans[:-1], leans[1:], strict=True):
        reach = (to_y - y) * 0.4
        ahead, behind = x + lean * reach, to_x - next_lean * reach
        path += f" C{_n(ahead)} {_n(y + reach)} {_n(behind)} {_n(to_y - reach)} {_n(to_x)} {_n(to_y)}"
        x, y = to_x, to_y
    down = 1.0 if points[-1][1] >= points[-2][1] else -1.0
    tip = f"M{_n(x)} {_n(y)} l-4.5 {_n(-9 * down)} h9 Z"
    return [
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>',
        f'<path d="{tip}" fill="{colour}" stroke="none"/>',
    ]


def _leans(points: Sequence[tuple[float, float]]) -> list[float]:
    """The slope of a line at each of its points: vertical at its ends and turning points, else from its neighbours.

    A cubic curve stays monotone up to three times the smaller of the two adjacent slopes (Fritsch and Carlson 1980).
    """
    slopes = [
        (right - left) / (lower - upper) if lower != upper else 0.0
        for (left, upper), (right, lower) in pairwise(points)
    ]
    leans = [0.0]
    for before, after in pairwise(slopes):
        mean = (before + after) / 2
        most = 3 * min(abs(before), abs(after))
        leans.append(0.0 if before * after <= 0 else max(-most, min(most, mean)))
    return [*leans, 0.0]


def _person(x: float, y: float, colour: str) -> str:
    head, shoulders = (
        f"M{_n(x + 2.4)} {_n(y - 6.6)} a2.1 2.1 0 1 0 4.2 0 a2.1 2.1 0 1 0 -4.2 0 Z",
        f"M{_n(x)} {_n(y + 1)} a4.5 4.6 0 0 1 9 0 Z",
    )
    return f'<path d="{head} {shoulders}" fill="{colour}" stroke="none"/>'


def _start(x: float, y: float) -> list[str]:
    return [
        f'<circle cx="{_n(x)}" cy="{_n(y - 20)}" r="5" fill="{C.line}"/>',
        *_arrow([(x, y - 15), (x, y)], lit=False, dim=False),
    ]


def _legend_row(x: float, y: float, rows: Iterable[tuple[str, str, str]]) -> list[str]:
    parts = []
    for mark, colour, word in rows:
        sign = _text(x, y, mark, _NOTE_SIZE, colour) if mark else _person(x, y, colour)
        parts += [sign, _text(x + 14, y, word, _NOTE_SIZE, C.faint)]
        x += text_width(word, _NOTE_SIZE) + 34
    return parts


def _rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    stroke: str,
    stroke_width: float,
    radius: float = 9,
    dashes: str = "",
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{_n(stroke_width)}"{dashed}/>'
    )


def _text(
    x: float, y: float, text: str, size: float, fill: str, *, weight: str = "", style: str = "", anchor: str = ""
) -> str:
    extra = f' font-weight="{weight}"' if weight and weight != "normal" else ""
    extra += f' font-style="{style}"' if style else ""
    extra += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}"{extra}>{escape(text)}</text>'


def _n(value: float) -> str:
    rounded = f"{value:.1f}"
    return "0" if rounded == "-0.0" else rounded.removesuffix(".0")
