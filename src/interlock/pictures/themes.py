"""The colours of pictures on a dark ground: each light colour has its dark one, so that one drawing serves both."""

import re
from typing import Literal

Theme = Literal["light", "dark"]

_DARK = {
    "#ffffff": "#161b22",  # paper
    "#1f2933": "#e6edf3",  # ink
    "#66727f": "#9aa7b4",  # faint
    "#f7f9fb": "#1f262e",  # boxes
    "#cbd2d9": "#4b5763",  # rules
    "#52606d": "#b6c2cd",  # lines
    "#0b6bcb": "#6cb6ff",  # lit
    "#e3f0fd": "#14304d",
    "#3a7d44": "#7ccb86",  # reads
    "#2f6b39": "#7ccb86",
    "#b44d12": "#f2a271",  # commands
    "#6b46a8": "#c3a6ff",  # events
    "#8a5a00": "#e3b341",  # people
    "#e4e7eb": "#2a323b",  # final
    "#fff8e1": "#332b12",  # waits
    "#b3261e": "#ff8f85",  # denials
}
_PAINTED = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')
_chosen: list[Theme] = ["light"]


def use_theme(theme: Theme) -> None:
    """Choose the colours of the pictures that this process draws from now on, such as in a notebook with a dark theme.

    Args:
        theme: `"light"`, as it is at first, or `"dark"`.

    Raises:
        ValueError: It is neither.
    """
    _chosen[0] = _known(theme)


def themed(svg: str, theme: Theme | None = None) -> str:
    """A picture that was drawn in light colours, in those of a theme: by default the one that was chosen."""
    if _known(theme or _chosen[0]) == "light":
        return svg
    return _PAINTED.sub(lambda found: f'{found[1]}="{_DARK.get(found[2], found[2])}"', svg)


def _known(theme: str) -> Theme:
    if theme not in {"light", "dark"}:
        raise ValueError(f"There is no theme {theme!r}; give 'light' or 'dark'.")
    return theme  # type: ignore[return-value]
