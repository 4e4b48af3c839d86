"""Bar charts as SVG, for a few rows with a name and one or several figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...tools.sinks import svg as escape

_ROW, _BAR, _LEFT, _WIDTH = 26, 14, 220, 720


@dataclass(frozen=True)
class Bar:
    """One row of a chart."""

    name: str
    values: tuple[float, ...]


def bars(title: str, series: Sequence[str], rows: Sequence[Bar]) -> Markup:
    """A chart of horizontal bars, stacked for several series; its text contains the figures.

    Args:
        title: The title, for screen readers.
        series: The name of each value of a row.
        rows: The rows.
    """
    if not rows:
        return Markup("")
    most = max(sum(row.values) for row in rows) or 1
    legend = 24 if len(series) > 1 else 0
    parts = _begun(title, legend + _ROW * len(rows) + 8)
    if legend:
        parts += _legend(series, _LEFT)
    room = _WIDTH - _LEFT - 70
    for number, row in enumerate(rows):
        top = legend + number * _ROW + 6
        parts.append(
            f'<text x="{_LEFT - 8}" y="{top + 12}" font-size="12" text-anchor="end">{escape(row.name[:32])}</text>'
        )
        left = float(_LEFT)
        for index, value in enumerate(row.values):
            width = room * value / most
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" class="series-{index}">'
                f"<title>{escape(series[index])}: {value:g}</title></rect>"
            )
            left += width
        parts.append(f'<text x="{left + 6:.1f}" y="{top + 12}" font-size="12">{sum(row.values):g}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 -- every text in it went through the sink for SVG


def columns(title: str, series: Sequence[str], rows: Sequence[Bar]) -> Markup:
    """A chart of vertical columns, for example one per day, stacked for several series.

    Args:
        title: The title, for screen readers; the page has to show the figures too.
        series: The name of each value of a row.
        rows: The rows, from left to right.
    """
    if not any(any(row.values) for row in rows):
        return Markup("")
    most = max(sum(row.values) for row in rows)
    height, top, bottom = 160, 34, 22
    parts = _begun(title, height + top + bottom)
    parts += _legend(series, 0)
    step = _WIDTH / len(rows)
    for number, row in enumerate(rows):
        left, base = number * step + step * 0.15, float(top + height)
        for index, value in enumerate(row.values):
            tall = height * value / most
            base -= tall
            parts.append(
                f'<rect x="{left:.1f}" y="{base:.1f}" width="{step * 0.7:.1f}" height="{tall:.1f}" class="series-{index}">'
                f"<title>{escape(row.name)}, {escape(series[index])}: {value:g}</title></rect>"
            )
        middle = number * step + step / 2
        if total := sum(row.values):
            parts.append(
                f'<text x="{middle:.1f}" y="{base - 4:.1f}" font-size="11" text-anchor="middle">{total:g}</text>'
            )
        parts.append(
            f'<text x="{middle:.1f}" y="{top + height + 16}" font-size="11" text-anchor="middle" class="axis">{escape(row.name)}</text>'
        )
    parts.append(f'<path d="M0 {top + height + 0.5} H{_WIDTH}" class="rule"/>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 -- every text in it went through the sink for SVG


def _begun(title: str, height: float) -> list[str]:
    return [
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]


def _legend(series: Sequence[str], left: float) -> list[str]:
    parts, across = [], left
    for number, name in enumerate(series):
        parts.append(f'<rect x="{across:g}" y="4" width="12" height="12" rx="2" class="series-{number}"/>')
        parts.append(f'<text x="{across + 17:g}" y="15" font-size="12">{escape(name)}</text>')
        across += 34 + 7 * len(name)
    return parts


__all__ = ["Bar", "bars", "columns"]
