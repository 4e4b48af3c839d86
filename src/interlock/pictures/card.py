"""An approval as a card: what would run, with Approve, Edit and Reject; plain functions that a widget only calls.

Without widgets the same card is a picture and a few lines of text, and the functions are called by hand. Showing a card decides
nothing.
"""

import json
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from ..tools.canonical import JsonObject
from ..tools.errors import InputError, InterlockError
from ..tools.principal import Principal
from ..tools.sinks import line as one_line
from ..tools.sinks import svg as escape
from ..tools.sinks import terminal
from .card_text import about, outcome_of, rows_of, then_of
from .picture_data import in_words
from .svg import FONT, C
from .themes import themed

_YOU = "you are"
_WIDTH, _LINE, _LETTERS, _VALUES = 640.0, 18.0, 76, 118.0


class Desk(Protocol):
    """The operations with which a card reads its approval and decides: `graph.instances`."""

    def approval(self, approval_id: str, *, by: Principal | None = None) -> JsonObject:
        """The approval as an approver is shown it."""

    def decide(self, approval_id: str, decision: Mapping[str, Any], *, by: Principal) -> Any:
        """Decide; returns the approval after the decision."""

    def why_not_decide(
        self, approval_id: str, *, by: Principal, kind: Literal["approve", "reject"] = "approve"
    ) -> str | None:
        """Why somebody could not take a decision on it, or None."""

    def why_not_follow(self, approval_id: str) -> str | None:
        """Why nothing can follow the decision from here, or None."""

    def follow(self, approval_id: str) -> dict[str, Any]:
        """Resume the thread, or execute the call, after the decision."""

    async def aapproval(self, approval_id: str, *, by: Principal | None = None) -> JsonObject:
        """Asynchronous form of `approval`, with the same arguments, result and errors."""

    async def adecide(self, approval_id: str, decision: Mapping[str, Any], *, by: Principal) -> Any:
        """Asynchronous form of `decide`, with the same arguments, result and errors."""

    async def awhy_not_decide(
        self, approval_id: str, *, by: Principal, kind: Literal["approve", "reject"] = "approve"
    ) -> str | None:
        """Asynchronous form of `why_not_decide`, with the same arguments, result and errors."""

    async def awhy_not_follow(self, approval_id: str) -> str | None:
        """Asynchronous form of `why_not_follow`, with the same arguments, result and errors."""

    async def afollow(self, approval_id: str) -> dict[str, Any]:
        """Asynchronous form of `follow`, with the same arguments, result and errors."""


class ApprovalCard:
    """One approval to be decided; made by `graph.instances.card(approval_id, by=...)`.

    Args:
        desk: The approvals of the workflow.
        approval_id: The ID of the approval.
        by: The principal who decides.
        resume: Whether the thread is resumed after a decision.
    """

    def __init__(self, desk: Desk, approval_id: str, by: Principal, *, resume: bool = True) -> None:
        self._desk = desk
        self._approval_id = approval_id
        self._by = by
        self._resume = resume
        self._widget: Any = None
        self.output: dict[str, Any] | None = None
        """The output of the thread after the decision."""

    @property
    def shown(self) -> JsonObject:
        """The current content for the approver."""
        return self._desk.approval(self._approval_id, by=self._by)

    async def ashown(self) -> JsonObject:
        """Asynchronous form of `shown`, with the same arguments, result and errors."""
        return await self._desk.aapproval(self._approval_id, by=self._by)

    def approve(self, **values: Any) -> str:
        """Run it exactly as shown.

        Args:
            values: What only the one who decides states, by its name on the wire.

        Returns:
            The outcome, as one sentence.

        Raises:
            PrincipalError: `by` is not allowed to.
            ConflictError: It was decided already, or its time is over.
        """
        return self._decide(_approval(values))

    async def aapprove(self, **values: Any) -> str:
        """Asynchronous form of `approve`, with the same arguments, result and errors."""
        return await self._adecide(_approval(values))

    def edit(self, **arguments: Any) -> str:
        """Run it with some arguments changed; the others stay as shown.

        Returns:
            The outcome, as one sentence.

        Raises:
            PrincipalError: They may not, or not these arguments.
            InputError: The edited call would be denied.
        """
        return self._decide(_edit(self.shown, arguments))

    async def aedit(self, **arguments: Any) -> str:
        """Asynchronous form of `edit`, with the same arguments, result and errors."""
        return await self._adecide(_edit(await self.ashown(), arguments))

    def reject(self, message: str = "") -> str:
        """Do not run it.

        Returns:
            The outcome, as one sentence.

        Raises:
            PrincipalError: `by` is not allowed to.
            ConflictError: It was decided already, or its time is over.
        """
        return self._decide(_rejection(message))

    async def areject(self, message: str = "") -> str:
        """Asynchronous form of `reject`, with the same arguments, result and errors."""
        return await self._adecide(_rejection(message))

    def _decide(self, answer: Mapping[str, Any]) -> str:
        self._check(self._desk.why_not_follow(self._approval_id) if self._resume else None)
        after = self._desk.decide(self._approval_id, dict(answer), by=self._by)
        if self._continues(after):
            self.output = self._desk.follow(self._approval_id)
        return self.outcome

    async def _adecide(self, answer: Mapping[str, Any]) -> str:
        self._check(await self._desk.awhy_not_follow(self._approval_id) if self._resume else None)
        after = await self._desk.adecide(self._approval_id, dict(answer), by=self._by)
        if self._continues(after):
            self.output = await self._desk.afollow(self._approval_id)
        return await self.aoutcome()

    def _check(self, reason: str | None) -> None:
        """Refuse a decision after which nothing could follow."""
        if reason is not None:
            raise InputError(
                f"{reason} Nothing was decided; make the card with instances.card(..., resume=False).", code="no_thread"
            )

    def _continues(self, after: Any) -> bool:
        return self._resume and after.status.value != "requested"

    @property
    def why_not(self) -> str | None:
        """Why the viewer may not approve it; None if they may, or if it is decided."""
        return self._why_not(self.shown)

    @property
    def may_reject(self) -> bool:
        """Whether the viewer may reject it."""
        return self._desk.why_not_decide(self._approval_id, by=self._by, kind="reject") is None

    async def amay_reject(self) -> bool:
        """Asynchronous form of `may_reject`, with the same arguments, result and errors."""
        return await self._desk.awhy_not_decide(self._approval_id, by=self._by, kind="reject") is None

    async def awhy_not(self) -> str | None:
        """Asynchronous form of `why_not`, with the same arguments, result and errors."""
        shown = await self.ashown()
        return None if _is_over(shown) else await self._desk.awhy_not_decide(self._approval_id, by=self._by)

    def _why_not(self, shown: JsonObject) -> str | None:
        return None if _is_over(shown) else self._desk.why_not_decide(self._approval_id, by=self._by)

    @property
    def outcome(self) -> str:
        """The state of the approval, in a sentence."""
        return one_line(outcome_of(self.shown))

    async def aoutcome(self) -> str:
        """Asynchronous form of `outcome`, with the same arguments, result and errors."""
        return one_line(outcome_of(await self.ashown()))

    def answer(self, request: Mapping[str, Any]) -> str:
        """Execute a click, and describe the result in a sentence; errors are described, not raised."""
        try:
            answer = self._clicked(request, lambda: self.shown)
            return self.outcome if answer is None else self._decide(answer)
        except InterlockError as error:
            return one_line(error.message)
        except (ValueError, TypeError) as error:
            return _unreadable(error)

    async def aanswer(self, request: Mapping[str, Any]) -> str:
        """Asynchronous form of `answer`, with the same arguments, result and errors."""
        try:
            shown = await self.ashown() if request.get("do") == "edit" else {}
            answer = self._clicked(request, lambda: shown)
            return await self.aoutcome() if answer is None else await self._adecide(answer)
        except InterlockError as error:
            return one_line(error.message)
        except (ValueError, TypeError) as error:
            return _unreadable(error)

    def _clicked(self, request: Mapping[str, Any], shown: Callable[[], JsonObject]) -> JsonObject | None:
        """The decision of a click, or None."""
        match request.get("do"):
            case "approve":
                return {"type": "approve"}
            case "edit":
                return _edit(shown(), dict(**json.loads(str(request.get("arguments") or "{}"))))
            case "reject":
                return _rejection(str(request.get("message") or ""))
            case _:
                return None

    def __str__(self) -> str:
        """The card in words."""
        shown = self.shown
        lines = [
            one_line(f"{shown['type']}: {shown['tool']} v{shown['toolVersion']} ({shown['status']})"),
            about(shown),
        ]
        why_not = self._why_not(shown)
        lines += [f"  {label:<14}{text}" for label, text in _lines(self._rows(shown, why_not))]
        calls = "card.approve()   card.edit(name=value)   card.reject('why')"
        return terminal("\n".join(lines if _is_over(shown) or why_not else [*lines, "", calls]))

    def __repr__(self) -> str:
        return str(self)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What an approver is to know, line by line: a label, which is empty where the line belongs to the one before, and the line."""
        shown = self.shown
        return self._rows(shown, self._why_not(shown))

    async def arows(self) -> list[tuple[str, str]]:
        """Asynchronous form of `rows`, with the same arguments, result and errors."""
        return self._rows(await self.ashown(), await self.awhy_not())

    def _rows(self, shown: Any, why_not: str | None) -> list[tuple[str, str]]:
        return [*rows_of(shown), *self._viewer(shown, why_not), *_deadline(shown)]

    def _viewer(self, shown: Any, why_not: str | None) -> list[tuple[str, str]]:
        """Who looks at it, and whether they may approve it; once it is decided, nobody may."""
        if _is_over(shown):
            return [(_YOU, self._by.id)]
        may = "who may approve it" if why_not is None else f"who may not approve it: {why_not}"
        return [(_YOU, f"{self._by.id}, {may}")]

    @property
    def svg(self) -> str:
        """The card as a picture, without buttons."""
        shown = self.shown
        return self._svg(shown, self._why_not(shown))

    async def asvg(self) -> str:
        """Asynchronous form of `svg`, with the same arguments, result and errors."""
        return self._svg(await self.ashown(), await self.awhy_not())

    def _svg(self, shown: JsonObject, why_not: str | None) -> str:
        lines = _lines(self._rows(shown, why_not))
        asks_them = shown["status"] == "requested" and why_not is None
        height = 78 + _LINE * len(lines) + 8
        colour = C.lit if asks_them else C.faint
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" viewBox="0 0 {_WIDTH:g} {height:g}" '
            f'font-family="{FONT}" role="img">',
            f"<title>{escape(str(shown['type']))}: {escape(str(shown['tool']))}</title>",
            f'<rect x="0" y="0" width="{_WIDTH:g}" height="{height:g}" fill="{C.paper}"/>',
            f'<rect x="2" y="2" width="{_WIDTH - 4:g}" height="{height - 4:g}" rx="9" fill="{C.paper}" stroke="{colour}"/>',
            _text(16, 28, str(shown["tool"]), 15, C.ink, bold=True),
            _text(_WIDTH - 16, 28, f"{shown['type']}, {shown['status']}", 11.5, colour, anchor="end"),
            _text(16, 48, _cut(about(shown)), 12.5, C.line),
            f'<path d="M16 58 H{_WIDTH - 16:g}" fill="none" stroke="{C.rule}"/>',
        ]
        part = ""
        for number, (label, text) in enumerate(lines):
            y = 78 + number * _LINE
            part = label or part
            is_told_off = why_not is not None and part == _YOU
            ink = C.person if is_told_off else C.ink
            parts += [_text(16, y, label, 11.5, C.faint), _text(_VALUES, y, text, 12.5, ink, bold=is_told_off)]
        return themed("\n".join([*parts, "</svg>"]))

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


def _deadline(shown: Any) -> list[tuple[str, str]]:
    """By when it has to be decided, and what happens then."""
    within, until = shown["rule"]["seconds"], shown["expiresAt"]
    if within is None and until is None:
        return []
    when = f"until {until}" if within is None else f"{in_words(within)} after the request"
    return [("deadline", f"{when}; then {then_of(shown)}")]


def _is_over(shown: Mapping[str, Any]) -> bool:
    return str(shown["status"]) != "requested"


def _approval(values: Mapping[str, Any]) -> JsonObject:
    return {"type": "approve", **({"values": dict(values)} if values else {})}


def _edit(shown: JsonObject, arguments: Mapping[str, Any]) -> JsonObject:
    """The decision to run it with some arguments changed; the others stay as shown."""
    before: Any = shown["arguments"]
    return {"type": "edit", "args": {**before, **arguments}}


def _rejection(message: str) -> JsonObject:
    return {"type": "reject", "message": message} if message else {"type": "reject"}


def _unreadable(error: Exception) -> str:
    return one_line(f"The edited arguments are not a JSON object: {error}. Nothing was decided.")


def _lines(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (label if number == 0 else "", part)
        for label, text in rows
        for number, part in enumerate(textwrap.wrap(one_line(text), _LETTERS, subsequent_indent="  ") or [""])
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS + 16 else text[: _LETTERS + 15] + "…"


def _text(x: float, y: float, text: str, size: float, fill: str, *, bold: bool = False, anchor: str = "") -> str:
    extra = (' font-weight="bold"' if bold else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"{extra} xml:space="preserve">{escape(text)}</text>'
