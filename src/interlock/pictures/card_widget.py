"""The buttons of an approval card: a widget with inline code that only reports clicks."""

import json
from collections.abc import Mapping
from typing import Any, Protocol, cast

import anywidget
import traitlets

from ..tools.canonical import JsonObject
from ..tools.sinks import json_line, line
from .card_text import about, rows_of


class Card(Protocol):
    """The card that the buttons belong to."""

    @property
    def shown(self) -> JsonObject:
        """The content for the approver."""

    @property
    def why_not(self) -> str | None:
        """Why the viewer may not approve it."""

    @property
    def may_reject(self) -> bool:
        """Whether the viewer may reject it."""

    @property
    def outcome(self) -> str:
        """The status, in a sentence."""

    def answer(self, request: Mapping[str, Any]) -> str:
        """Take the decision that was clicked."""


_ESM = """
function element(tag, text, style) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  Object.assign(made.style, style || {});
  return made;
}
const DARK = {
  "#ffffff": "#161b22", "#1f2933": "#e6edf3", "#66727f": "#9aa7b4", "#f7f9fb": "#1f262e", "#cbd2d9": "#4b5763",
  "#52606d": "#b6c2cd", "#0b6bcb": "#6cb6ff", "#2f6b39": "#7ccb86", "#8a5a00": "#e3b341", "#b3261e": "#ff8f85" };
function isDark() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  if (document.body.classList.contains("vscode-dark")) return true;
  return !document.body.classList.contains("vscode-light") && window.matchMedia("(prefers-color-scheme: dark)").matches;
}
function render({ model, el }) {
  const dark = isDark();
  const in_theme = (colour) => dark ? DARK[colour] ?? colour : colour;
  const card = element("div", undefined, {
    fontFamily: "Helvetica, Arial, sans-serif", fontSize: "13px", lineHeight: "1.4", border: "1px solid " + in_theme("#0b6bcb"),
    borderRadius: "9px", padding: "14px 16px", maxWidth: "640px", background: in_theme("#ffffff"), color: in_theme("#1f2933"),
    colorScheme: dark ? "dark" : "light" });
  const faint = { color: in_theme("#66727f"), fontSize: "12px" };
  const typed = {
    width: "100%", boxSizing: "border-box", padding: "6px 8px", background: in_theme("#f7f9fb"), color: in_theme("#1f2933"),
    border: "1px solid " + in_theme("#cbd2d9"), borderRadius: "6px", fontSize: "12px" };
  let text, reason;
  const draw = () => {
    const shown = model.get("shown"), open = model.get("waiting");
    text = text ?? shown.text;
    reason = reason ?? "";
    card.replaceChildren();
    card.style.borderColor = in_theme(open ? "#0b6bcb" : "#cbd2d9");
    const head = element("div", undefined, { display: "flex", justifyContent: "space-between", alignItems: "baseline" });
    head.append(element("span", shown.tool, { fontWeight: "bold", fontSize: "15px" }));
    head.append(element("span", shown.type, open ? { color: in_theme("#0b6bcb"), fontSize: "12px" } : faint));
    card.append(head, element("div", shown.about, { margin: "2px 0 10px", color: in_theme("#52606d") }));
    const facts = element("div", undefined, {
      display: "grid", gridTemplateColumns: "max-content 1fr", columnGap: "14px", rowGap: "2px",
      borderTop: "1px solid " + in_theme("#cbd2d9"), padding: "10px 0" });
    for (const [label, line] of shown.rows)
      facts.append(element("span", label, faint), element("span", line, { overflowWrap: "anywhere" }));
    card.append(facts);
    const may = new Set(shown.decisions);
    const edits = open && may.has("edit");
    const label = element("label", "arguments" + (edits ? " (change them here, then Edit)" : ""), faint);
    const box = element("textarea", undefined, { ...typed, fontFamily: "monospace", resize: "vertical" });
    box.value = text;
    box.rows = Math.min(14, text.split("\\n").length);
    box.readOnly = !edits;
    box.oninput = () => { text = box.value; };
    label.append(box);
    card.append(label);
    const ask = (what) => {
      model.set("clicked", { ...what, at: Date.now() });
      model.save_changes();
    };
    const button = (name, colour, on, act, filled) => {
      const made = element("button", name, {
        padding: "5px 14px", borderRadius: "6px", border: `1px solid ${in_theme(colour)}`, font: "inherit",
        color: in_theme(filled ? "#ffffff" : colour), background: in_theme(filled ? colour : "#ffffff"),
        cursor: on ? "pointer" : "default", opacity: on ? 1 : 0.4 });
      made.disabled = !on;
      made.onclick = act;
      return made;
    };
    if (open && shown.whyNot)
      card.append(element("div", shown.whyNot, { marginTop: "10px", fontWeight: "bold", color: in_theme("#8a5a00") }));
    if (open && may.size > 0) {
      const row = element("div", undefined, { display: "flex", gap: "8px", marginTop: "10px" });
      const why = element("input", undefined, { ...typed, flex: "1", width: "auto", minWidth: "0" });
      // No placeholder: notebooks draw it in a colour of their own theme.
      why.setAttribute("aria-label", "why it is rejected");
      why.value = reason;
      why.oninput = () => { reason = why.value; };
      row.append(
        button("Approve", "#2f6b39", may.has("approve"), () => ask({ do: "approve" }), true),
        button("Edit", "#8a5a00", edits, () => ask({ do: "edit", arguments: box.value })),
        element("span", "if not, why:", { ...faint, alignSelf: "center", marginLeft: "12px" }),
        why,
        button("Reject", "#b3261e", may.has("reject"), () => ask({ do: "reject", message: why.value })));
      card.append(row);
    }
    const outcome = element("div", model.get("outcome"), { marginTop: "10px", ...(open ? faint : { fontWeight: "bold" }) });
    outcome.setAttribute("role", "status");
    card.append(outcome);
  };
  model.on("change:outcome", draw);
  model.on("change:waiting", draw);
  draw();
  el.append(card);
}
export default { render };
"""


class CardWidget(anywidget.AnyWidget):
    """The widget's state: the drawing, the click, and its result."""

    _esm = _ESM
    shown: Any = traitlets.Dict().tag(sync=True)
    clicked: Any = traitlets.Dict().tag(sync=True)
    outcome: Any = traitlets.Unicode().tag(sync=True)
    waiting: Any = traitlets.Bool(True).tag(sync=True)


def widget_of(card: Card) -> CardWidget:
    """The widget of a card; a click calls the card's own functions."""
    widget = CardWidget(shown=_drawn(card), outcome=card.outcome, waiting=_is_open(card))

    def clicked(change: Any) -> None:
        widget.outcome = card.answer(change["new"])
        widget.waiting = _is_open(card)

    widget.observe(clicked, names="clicked")
    return widget


def _is_open(card: Card) -> bool:
    return card.shown["status"] == "requested"


def _drawn(card: Card) -> dict[str, Any]:
    shown, why_not = card.shown, card.why_not
    may = {"approve", "edit", "reject"} if why_not is None else {"reject"} if card.may_reject else set[str]()
    config = cast("Any", shown["review_configs"])[0]
    until: Any = shown["expiresAt"]
    open_until = [] if until is None else [("open until", until[:16].replace("T", " ") + " UTC")]
    return {
        "type": shown["type"],
        "tool": line(shown["tool"]),
        "about": about(shown),
        "rows": [*rows_of(shown, arguments=False), *open_until],
        "whyNot": "" if why_not is None else line(f"You may not approve this: {why_not}."),
        "arguments": shown["arguments"],
        "text": "\n".join(map(json_line, json.dumps(shown["arguments"], ensure_ascii=False, indent=2).split("\n"))),
        "decisions": [one for one in config["allowed_decisions"] if one in may],
    }
