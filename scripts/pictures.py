"""Draw the pictures of the README anew: `python scripts/pictures.py`.

Two of them are the library's own SVG. The approval card is the notebook's widget in a page of its own, photographed by a headless
Chromium (`CHROMIUM` names it), and is left as it is where there is none.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from interlock import Principal, WorkflowGraph
from interlock.pictures.card_widget import CardWidget, widget_of
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.case import case_workflow, open_cases

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
ANN, BEN = Principal("ann"), Principal("ben", roles=frozenset({"supervisor"}))
HERE: Any = {"configurable": {"thread_id": "t-1"}}
WIDTH, HEIGHT = 700, 460
PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:16px;background:#fff"><div id="card"></div>
<script type="module">
const model = {{
  values: {values},
  get(name) {{ return this.values[name]; }}, set(name, value) {{ this.values[name] = value; }}, on() {{}}, save_changes() {{}},
}};
const made = await import("data:text/javascript;base64," + btoa(unescape(encodeURIComponent({code}))));
made.default.render({{ model, el: document.getElementById("card") }});
</script>"""


def waiting() -> WorkflowGraph:
    """A case that is in a queue, and whose move to another one waits for a supervisor."""
    script = [
        call("case.assign", caseId="77", queueId="billing"),
        call("queue.reassign", queueId="delivery"),
    ]
    graph = case_workflow(ScriptedChatModel(script, forever="It waits.")).compile()
    open_cases(graph.engine.store)
    graph.invoke({"messages": [("user", "Case 77 goes to billing... no, to delivery.")]}, HERE, context=ANN)
    return graph


def photograph(widget: CardWidget, to: Path) -> bool:
    """Show the widget in a browser, and keep what it looks like."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return False
    values = {name: getattr(widget, name) for name in ("shown", "outcome", "waiting")}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "card.html"
        page.write_text(PAGE.format(values=json.dumps(values), code=json.dumps(widget._esm)), "utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
        ]
        flags += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        size = f"--window-size={WIDTH},{HEIGHT}"
        shot = [browser, *flags, "--virtual-time-budget=2000", size, f"--screenshot={to}", page.as_uri()]
        subprocess.run(shot, check=True, capture_output=True, timeout=60)
    return True


def main() -> int:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    graph = waiting()
    (approval,) = graph.instances.snapshot(HERE).pending_approvals
    graph.instances.picture(HERE).save(FOLDER / "case.svg")
    card = graph.instances.card(str(approval["approvalId"]), by=BEN)
    photographed = photograph(widget_of(card), FOLDER / "approval.png")
    card.approve()
    (FOLDER / "timeline.svg").write_text(graph.instances.timeline(HERE).svg, "utf-8")
    for picture in sorted(FOLDER.iterdir()):
        print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")
    if not photographed:
        print("no Chromium: approval.png is as it was", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
