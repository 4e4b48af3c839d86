"""The buttons of an approval card: a widget with its code inline, which only says what was clicked."""

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
        """What the approver is shown."""

    @property
    def outcome(self) -> str:
        """What became of it, in a sentence."""

    def answer(self, request: Mapping[str, Any]) -> str:
        """Take the decision that was clicked."""


_ESM = """
function element(tag, text, style) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  Object.assign(made.style, style || {});
  return made;
}
function render({ model, el }) {
  const card = element("div", undefined, {
    fontFamily: "Helvetica, Arial, sans-serif", fontSize: "13px", lineHeight: "1.4", border: "1px solid #0b6bcb",
    borderRadius: "9px", padding: "14px 16px", maxWidth: "640px", background: "#ffffff", color: "#1f2933",
    colorScheme: "light" });
  const faint = { color: "#66727f", fontSize: "12px" };
  const typed = {
    width: "100%", boxSizing: "border-box", padding: "6px 8px", background: "#f7f9fb", color: "#1f2933",
    border: "1px solid #cbd2d9", borderRadius: "6px", fontSize: "12px" };
  let text, reason;
  const draw = () => {
    const shown = model.get("shown"), open = model.get("waiting");
    text = text ?? shown.text;
    reason = reason ?? "";
    card.replaceChildren();
    card.style.borderColor = open ? "#0b6bcb" : "#cbd2d9";
    const head = element("div", undefined, { display: "flex", justifyContent: "space-between", alignItems: "baseline" });
    head.append(element("span", shown.tool, { fontWeight: "bold", fontSize: "15px" }));
    head.append(element("span", shown.type, open ? { color: "#0b6bcb", fontSize: "12px" } : faint));
    card.append(head, element("div", shown.about, { margin: "2px 0 10px", color: "#52606d" }));
    const facts = element("div", undefined, {
      display: "grid", gridTemplateColumns: "max-content 1fr", columnGap: "14px", rowGap: "2px",
      borderTop: "1px solid #cbd2d9", padding: "10px 0" });
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
        padding: "5px 14px", borderRadius: "6px", border: `1px solid ${colour}`, font: "inherit",
        color: filled ? "#ffffff" : colour, background: filled ? colour : "#ffffff",
        cursor: on ? "pointer" : "default", opacity: on ? 1 : 0.4 });
      made.disabled = !on;
      made.onclick = act;
      return made;
    };
    if (open) {
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
    """What is drawn, what was clicked, and what came of it."""

    _esm = _ESM
    shown: Any = traitlets.Dict().tag(sync=True)
    clicked: Any = traitlets.Dict().tag(sync=True)
    outcome: Any = traitlets.Unicode().tag(sync=True)
    waiting: Any = traitlets.Bool(True).tag(sync=True)


def widget_of(card: Card) -> CardWidget:
    """The widget of a card; a click calls the card's own functions."""
    widget = CardWidget(shown=_drawn(card.shown), outcome=card.outcome, waiting=_is_open(card))

    def clicked(change: Any) -> None:
        widget.outcome = card.answer(change["new"])
        widget.waiting = _is_open(card)

    widget.observe(clicked, names="clicked")
    return widget


def _is_open(card: Card) -> bool:
    return card.shown["status"] == "requested"


def _drawn(shown: JsonObject) -> dict[str, Any]:
    config = cast("Any", shown["review_configs"])[0]
    until: Any = shown["expiresAt"]
    open_until = [] if until is None else [("open until", until[:16].replace("T", " ") + " UTC")]
    return {
        "type": shown["type"],
        "tool": line(shown["tool"]),
        "about": about(shown),
        "rows": [*rows_of(shown, arguments=False), *open_until],
        "arguments": shown["arguments"],
        "text": "\n".join(map(json_line, json.dumps(shown["arguments"], ensure_ascii=False, indent=2).split("\n"))),
        "decisions": config["allowed_decisions"],
    }
