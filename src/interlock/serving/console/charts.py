"""Bar charts as SVG: for a few rows with a name and one or several figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...tools.sinks import svg as escape

_ROW, _BAR, _LEFT, _WIDTH = 26, 14, 220, 720
_COLOURS = ("#3b7dd8", "#2c8a4b", "#b7791f", "#c0392b", "#7a5bb5")


@dataclass(frozen=True)
class Bar:
    """One row of a chart."""

    name: str
    values: tuple[float, ...]


def bars(title: str, series: Sequence[str], rows: Sequence[Bar]) -> Markup:
    """A chart of horizontal bars, stacked where there are several series; its figures are also in its text.

    Args:
        title: What it shows, for those who hear it.
        series: The name of each value of a row.
        rows: The rows.
    """
    if not rows:
        return Markup("")
    most = max(sum(row.values) for row in rows) or 1
    legend = 24 if len(series) > 1 else 0
    height = legend + _ROW * len(rows) + 8
    parts = [
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    across = _LEFT
    for number, name in enumerate(series if legend else ()):
        parts.append(f'<rect x="{across}" y="4" width="12" height="12" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{across + 17}" y="15" font-size="12" fill="currentColor">{escape(name)}</text>')
        across += 30 + 8 * len(name)
    room = _WIDTH - _LEFT - 70
    for number, row in enumerate(rows):
        top = legend + number * _ROW + 6
        parts.append(
            f'<text x="{_LEFT - 8}" y="{top + 12}" font-size="12" text-anchor="end" fill="currentColor">{escape(row.name[:32])}</text>'
        )
        left = float(_LEFT)
        for index, value in enumerate(row.values):
            width = room * value / most
            colour = _COLOURS[index % len(_COLOURS)]
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
                f"<title>{escape(series[index])}: {value:g}</title></rect>"
            )
            left += width
        parts.append(
            f'<text x="{left + 6:.1f}" y="{top + 12}" font-size="12" fill="currentColor">{sum(row.values):g}</text>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 -- every text in it went through the sink for SVG


__all__ = ["Bar", "bars"]
