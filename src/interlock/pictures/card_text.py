"""The content of an approval card as sentences and rows, for the card, its picture and its widget."""

from collections.abc import Mapping
from typing import Any

from ..rules.origins.excerpts import lines_of
from ..tools.approvals import Approval
from ..tools.sinks import line
from .previews import plain_of, preview_lines


def about(shown: Mapping[str, Any]) -> str:
    """The purpose of the tool, in one line."""
    paragraphs = str(shown["action_requests"][0]["description"]).split("\n\n")
    # The problem of the previous answer, if any, precedes it as one paragraph, whatever it quotes.
    said = paragraphs[0 if shown["problem"] is None else 1 : 2]
    return " ".join(line(" ".join(said[:1])).split())


def rows_of(shown: Mapping[str, Any], *, arguments: bool = True) -> list[tuple[str, str]]:
    """The content for the approver, as labels and lines.

    Args:
        shown: The approval.
        arguments: Whether the arguments are among them.
    """
    rows = [] if shown["problem"] is None else [("last answer", str(shown["problem"]))]
    rows += _preview(shown["preview"])
    if arguments:
        rows += _part("arguments", shown["arguments"])
    rows += _part("proposed was", shown["proposedArguments"])
    if shown.get("supplied"):
        rows.append(("supplied", f"by the application: {', '.join(shown['supplied'])}"))
    for number, field in enumerate(shown.get("fields", ())):
        state = (
            "stated"
            if field["name"] in shown["arguments"]
            else "to be stated"
            if field["required"]
            else "may be stated"
        )
        asks = f": {field['asks']}" if field["asks"] else ""
        rows.append(("for you to state" if number == 0 else "", f"{field['name']} ({state}){asks}"))
    rows.append(("asked by", f"{shown['requestedBy']} (workflow {shown['workflow']}, state {shown['state']})"))
    rows += [("why", str(reason)) for reason in shown["reasons"]]
    rows += [
        ("comes from" if number == 0 else "", f"{name}: {said}") for number, (name, said) in enumerate(lines_of(shown))
    ]
    rule, following = shown["rule"], shown["next"]
    who = (
        "the person served" if rule["confirmation"] else f"the role {rule['role']}" if rule["role"] else "anybody else"
    )
    if rule.get("by"):
        who = Approval.from_json(rule).who
    rows.append(("decided by", who + (f", {rule['count']} of them" if rule["count"] > 1 else "")))
    rows.append(("if approved", f"the call runs exactly as shown; the next state is {following['approve']}"))
    rows.append(("if rejected", f"the call does not run; the state stays {following['reject']}"))
    return [(line(label), line(text)) for label, text in rows]


def outcome_of(shown: Mapping[str, Any]) -> str:
    """The status of an approval, in a sentence."""
    by = ", ".join(
        f"{_DECIDED.get(one['decision'], one['decision'])} by {one['by']}"
        + (f" for {one['onBehalfOf']}" if "onBehalfOf" in one else "")
        for one in shown["decisions"]
    )
    match shown["status"]:
        case "requested":
            return (
                f"{shown['tool']} was {by}, and waits for another decision"
                if by
                else f"{shown['tool']} waits for a decision"
            )
        case "used":
            return f"{shown['tool']} was {by}, and ran"
        case "approved" | "rejected" if by:
            return f"{shown['tool']} was {by}"
        case status:
            return f"the approval of {shown['tool']} is {status}" + (f" ({by})" if by else "")


_DECIDED = {"approve": "approved", "edit": "edited", "reject": "rejected", "respond": "answered"}


def _part(label: str, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    lines = (
        [f"{name}: {plain_of(one)}" for name, one in value.items()] if isinstance(value, Mapping) else [plain_of(value)]
    )
    return [(label if number == 0 else "", line) for number, line in enumerate(lines or ["nothing"])]


def _preview(value: Any) -> list[tuple[str, str]]:
    told = [] if value is None else [f"{path}: {words}" if path else words for path, words in preview_lines(value)]
    return [("would change" if number == 0 else "", words) for number, words in enumerate(told)]


def then_of(shown: Mapping[str, Any]) -> str:
    """What happens when the approval expires."""
    return {"reject": "it is rejected"}.get(str(shown["next"]["expiry"]), str(shown["next"]["expiry"]))
