"""The console that everything for people is printed on."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from typing_extensions import override

from ...tools.sinks import terminal


class SafeConsole(Console):
    """A console on which a text is only ever shown: it is no markup, and what a terminal would obey is made visible.

    Args:
        stderr: Whether it prints on standard error.
        options: More for rich's own console.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        # Neither brackets nor `:names:` in what a model wrote may become something else.
        super().__init__(stderr=stderr, highlight=False, soft_wrap=False, markup=False, emoji=False, **options)

    @override
    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's, with every piece of text made visible; what rich itself says to the terminal is left alone."""
        for segment in super().render(renderable, options):
            if segment.control or (shown := terminal(segment.text)) == segment.text:
                yield segment
            else:
                yield Segment(shown, segment.style)


__all__ = ["SafeConsole"]
