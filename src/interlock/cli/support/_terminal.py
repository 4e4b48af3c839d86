"""The console that everything for people is printed on."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from typing_extensions import override

from ...tools.sinks import terminal


class SafeConsole(Console):
    """A console that escapes text: it interprets no markup, and makes control characters visible.

    Args:
        stderr: Whether it prints on standard error.
        options: More for rich's own console.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        # Brackets and `:names:` in a model's text must not become markup or emoji.
        super().__init__(stderr=stderr, highlight=False, soft_wrap=False, markup=False, emoji=False, **options)

    @override
    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As in rich, with every text escaped; rich's own control codes are unchanged."""
        for segment in super().render(renderable, options):
            if segment.control or (shown := terminal(segment.text)) == segment.text:
                yield segment
            else:
                yield Segment(shown, segment.style)


__all__ = ["SafeConsole"]
