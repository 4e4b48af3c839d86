"""An approval as a card: what would run, with Approve, Edit and Reject; plain functions that a widget only calls.

Without widgets the same card is a picture and a few lines of text, and the functions are called by hand. Showing a card decides
nothing.
"""

import json
import textwrap
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from ..tools.canonical import JsonObject
from ..tools.errors import InterlockError
from ..tools.principal import Principal
from .drawing import in_words
from .svg import FONT, C

if TYPE_CHECKING:
    from .approval_desk import ApprovalDesk

_WIDTH, _LINE, _LETTERS = 640.0, 17.0, 88


class ApprovalCard:
    """One approval to be decided; made by `graph.instances.card(approval_id, by=...)`.

    Args:
        desk: The approvals of the workflow.
        approval_id: Which one.
        by: Who decides.
        go_on: Whether the thread runs on after a decision.
    """

    def __init__(self, desk: "ApprovalDesk", approval_id: str, by: Principal, *, go_on: bool = True) -> None:
        self._desk = desk
        self._approval_id = approval_id
        self._by = by
        self._go_on = go_on
        self._widget: Any = None
        self.output: dict[str, Any] | None = None
        """What the thread answered with when it ran on after the decision."""

    @property
    def shown(self) -> JsonObject:
        """What the approver is shown, as it stands now."""
        return self._desk.approval(self._approval_id)

    def approve(self) -> str:
        """Run it exactly as shown.

        Returns:
            What came of it, in a sentence.

        Raises:
            PrincipalError: They may not.
            ConflictError: It was decided already, or its time is over.
        """
        return self._decide({"type": "approve"})

    def edit(self, **arguments: Any) -> str:
        """Run it with some arguments changed; the others stay as shown.

        Returns:
            What came of it, in a sentence.

        Raises:
            PrincipalError: They may not, or not these arguments.
            InputError: The edited call would be denied.
        """
        shown: Any = self.shown["arguments"]
        return self._decide({"type": "edit", "args": {**shown, **arguments}})

    def reject(self, message: str = "") -> str:
        """Do not run it.

        Returns:
            What came of it, in a sentence.

        Raises:
            PrincipalError: They may not.
            ConflictError: It was decided already, or its time is over.
        """
        return self._decide({"type": "reject", **({"message": message} if message else {})})

    def _decide(self, answer: Mapping[str, Any]) -> str:
        after = self._desk.decide(self._approval_id, dict(answer), by=self._by)
        if self._go_on and after.status.value != "requested":
            self.output = self._desk.go_on(after.workflow_id)
        return self.outcome

    @property
    def outcome(self) -> str:
        """Where the approval stands, in a sentence."""
        shown = self.shown
        decided: Any = shown["decisions"]
        by = ", ".join(f"{one['decision']} by {one['by']}" for one in decided)
        return f"{shown['tool']} is {shown['status']}" + (f" ({by})" if by else "")

    def answer(self, request: Mapping[str, Any]) -> str:
        """Do what a click asked for, and say in a sentence what came of it; errors are said, not raised."""
        try:
            match request.get("do"):
                case "approve":
                    return self.approve()
                case "edit":
                    return self.edit(**json.loads(str(request.get("arguments") or "{}")))
                case "reject":
                    return self.reject(str(request.get("message") or ""))
                case _:
                    return self.outcome
        except InterlockError as error:
            return error.message
        except (ValueError, TypeError) as error:
            return f"The edited arguments are not a JSON object: {error}. Nothing was decided."

    def __str__(self) -> str:
        """The card in words."""
        return "\n".join([*self._lines(), "", "card.approve()   card.edit(name=value)   card.reject('why')"])

    def __repr__(self) -> str:
        return str(self)

    @property
    def svg(self) -> str:
        """The card as a picture, without buttons."""
        lines = self._lines()
        height = 28 + _LINE * len(lines) + 12
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" viewBox="0 0 {_WIDTH:g} {height:g}" '
            f'font-family="{FONT}" role="img">',
            f"<title>{escape(lines[0])}</title>",
            f'<rect x="0" y="0" width="{_WIDTH:g}" height="{height:g}" fill="{C.paper}"/>',
            f'<rect x="2" y="2" width="{_WIDTH - 4:g}" height="{height - 4:g}" rx="9" fill="{C.box}" stroke="{C.lit}"/>',
        ]
        for number, line in enumerate(lines):
            weight = ' font-weight="bold"' if number == 0 else ""
            parts.append(
                f'<text x="16" y="{28 + number * _LINE:g}" font-size="12.5"{weight} fill="{C.ink}" xml:space="preserve">{escape(line)}</text>'
            )
        return "\n".join([*parts, "</svg>"])

    def _lines(self) -> list[str]:
        shown = self.shown
        words: list[str] = [f"{shown['type']}: {shown['tool']} v{shown['toolVersion']} ({shown['status']})"]
        words += _wrapped(f"arguments: {json.dumps(shown['arguments'], ensure_ascii=False)}")
        if shown["preview"] is not None:
            words += _wrapped(f"would change: {json.dumps(shown['preview'], ensure_ascii=False)}")
        words += _wrapped(
            f"asked by {shown['requestedBy']} in {shown['state']} of {shown['workflow']}, to be decided by {self._by.id}"
        )
        following: Any = shown["next"]
        words.append(f"if approved: {following['approve']}; if rejected: {following['reject']}")
        rule: Any = shown["rule"]
        if rule["seconds"] is not None:
            words.append(f"to be decided within {in_words(rule['seconds'])}")
        return words

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        plain = {"image/svg+xml": self.svg, "text/plain": str(self)}
        try:
            from .card_widget import widget_of  # noqa: PLC0415 -- widgets are an extra, imported when a card is shown
        except ImportError:
            return plain
        if self._widget is None:
            self._widget = widget_of(self)
        data, metadata = self._widget._repr_mimebundle_(include=include, exclude=exclude)
        return {**data, **plain}, metadata


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _LETTERS, subsequent_indent="    ")
