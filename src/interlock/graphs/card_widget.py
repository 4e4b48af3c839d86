"""The buttons of an approval card: a widget with its code inline, which only says what was clicked."""

from typing import TYPE_CHECKING, Any, cast

import anywidget
import traitlets

from ..tools.canonical import JsonObject

if TYPE_CHECKING:
    from .card import ApprovalCard

_ESM = """
function element(tag, text, style) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  Object.assign(made.style, style || {});
  return made;
}
function render({ model, el }) {
  const card = element("div", undefined, {
    fontFamily: "Helvetica, Arial, sans-serif", fontSize: "13px", border: "1px solid #0b6bcb", borderRadius: "9px",
    padding: "14px 16px", maxWidth: "640px", background: "#ffffff", color: "#1f2933" });
  const draw = () => {
    const shown = model.get("shown");
    card.replaceChildren();
    card.append(element("div", `${shown.type}: ${shown.tool}`, { fontWeight: "bold", fontSize: "15px" }));
    card.append(element("pre", shown.description, { whiteSpace: "pre-wrap", fontFamily: "inherit", margin: "8px 0" }));
    const may = new Set(shown.decisions);
    const box = element("textarea", undefined, {
      width: "100%", minHeight: "72px", boxSizing: "border-box", fontFamily: "monospace", fontSize: "12px",
      background: "#f7f9fb", color: "#1f2933", border: "1px solid #cbd2d9", borderRadius: "6px" });
    box.value = JSON.stringify(shown.arguments, null, 2);
    box.readOnly = !may.has("edit");
    box.setAttribute("aria-label", "arguments");
    const why = element("input", undefined, {
      width: "100%", boxSizing: "border-box", margin: "6px 0", padding: "5px", background: "#ffffff", color: "#1f2933",
      border: "1px solid #cbd2d9", borderRadius: "6px" });
    why.placeholder = "reason for a rejection";
    card.append(box, why);
    const ask = (what) => {
      model.set("clicked", { ...what, at: Date.now() });
      model.save_changes();
    };
    const button = (name, colour, on, act) => {
      const made = element("button", name, {
        marginRight: "8px", padding: "5px 14px", borderRadius: "6px", border: `1px solid ${colour}`, color: colour,
        background: "#ffffff", cursor: on ? "pointer" : "default", opacity: on ? 1 : 0.4 });
      made.disabled = !on;
      made.onclick = act;
      return made;
    };
    const open = model.get("waiting");
    card.append(
      button("Approve", "#3a7d44", open && may.has("approve"), () => ask({ do: "approve" })),
      button("Edit", "#b44d12", open && may.has("edit"), () => ask({ do: "edit", arguments: box.value })),
      button("Reject", "#b3261e", open && may.has("reject"), () => ask({ do: "reject", message: why.value })));
    card.append(element("div", model.get("outcome"), { marginTop: "8px", color: "#52606d" }));
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


def widget_of(card: "ApprovalCard") -> CardWidget:
    """The widget of a card; a click calls the card's own functions."""
    widget = CardWidget(shown=_drawn(card.shown), outcome=card.outcome, waiting=_is_open(card))

    def clicked(change: Any) -> None:
        widget.outcome = card.answer(change["new"])
        widget.waiting = _is_open(card)

    widget.observe(clicked, names="clicked")
    return widget


def _is_open(card: "ApprovalCard") -> bool:
    return card.shown["status"] == "requested"


def _drawn(shown: JsonObject) -> dict[str, Any]:
    request = cast("Any", shown["action_requests"])[0]
    config = cast("Any", shown["review_configs"])[0]
    return {
        "type": shown["type"],
        "tool": shown["tool"],
        "arguments": shown["arguments"],
        "description": request["description"],
        "decisions": config["allowed_decisions"],
    }
