"""What a model, a tool or an event says, followed to every place where this package shows it."""

import io
import logging
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from interlock import Approval, Principal, SQLCheckpointer, Workflow, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.redaction import Secrets
from interlock.tools.sinks import hiding, line, logger_of
from tests.cli.support import run
from tests.sinks.hostile import TEXTS, live

ADA, BEN = Principal("ada"), Principal("ben", roles={"supervisor"})
SOME = ["title and clipboard", "carriage return", "right to left override", "script", "cdata", "no characters", "forged sentences",
        "combining flood", "rich link", "next line", "quotation", "attribute"]  # fmt: skip
MODULE = '''
from interlock import Approval, Workflow, command
from interlock.testing import ScriptedChatModel, call
EVIL = {evil!r}

def shown(order_id: str) -> str:
    return f"Refund {{order_id}}"

@command("order.refund", effect="transactional", preview=shown)
def refund(order_id: str) -> str:
    """Refund an order."""
    return order_id

flow = Workflow("desk", model=ScriptedChatModel([call("order.refund", orderId=EVIL)], forever=EVIL))
flow.add_state("open")
flow.add_state("closed", final=True)
flow.add_edge("open", refund, "closed", approval=Approval(role="supervisor"))
'''


def shown_of(order_id: str) -> str:
    return f"Refund {order_id}"


@command("order.refund", effect="transactional", preview=shown_of)
def refund(order_id: str) -> str:
    """Refund an order."""
    return order_id


def desk(evil: str, **options: Any) -> Any:
    flow = Workflow("desk", model=ScriptedChatModel([call("order.refund", orderId=evil)], forever=f"said {evil}"))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", refund, "closed", approval=Approval(role="supervisor"))
    return flow.compile(**options)


@pytest.mark.parametrize("evil", [TEXTS[name] for name in SOME], ids=SOME)
def test_what_a_notebook_shows_of_a_run_is_whole_and_obeys_nothing(evil: str) -> None:
    graph, config = desk(evil), {"configurable": {"thread_id": "t"}}
    out = graph.invoke({"messages": [("user", f"hello {evil}")]}, config, context=ADA)
    card = graph.instances.card(out["__interrupt__"][0].value["approvalId"], by=BEN)
    before = graph.get_state(config)
    figures = [card, graph.side_by_side(config), graph.instances.timeline(config)]
    card.reject(f"no {evil}")
    figures += [card, graph.side_by_side(config), graph.instances.timeline(config)]
    figures.append(graph.compare(before.config, graph.get_state(config).config) if hasattr(graph, "compare") else card)

    for figure in figures:
        root = ET.fromstring(figure.svg)
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            "svg",
            "title",
            "rect",
            "text",
            "path",
            "circle",
        }
        assert live("".join(root.itertext()), lines=True) == []
        assert live(str(figure), lines=True) == []
        assert live(repr(figure), lines=True) == []


@pytest.mark.parametrize("evil", [TEXTS[name] for name in SOME], ids=SOME)
def test_a_preview_does_not_go_on_as_the_cards_own_sentences(evil: str) -> None:
    graph, config = desk(evil), {"configurable": {"thread_id": "t"}}
    out = graph.invoke({"messages": [("user", "x")]}, config, context=ADA)
    value = out["__interrupt__"][0].value
    honest = desk("W1").invoke({"messages": [("user", "x")]}, config, context=ADA)["__interrupt__"][0].value
    paragraphs = value["action_requests"][0]["description"].split("\n\n")
    expected = honest["action_requests"][0]["description"].split("\n\n")

    assert len(paragraphs) == len(expected)
    assert [one for one in paragraphs if one not in expected] == [
        one for one in paragraphs if one.startswith("What it would change: ")
    ]
    card = str(graph.instances.card(value["approvalId"], by=BEN))
    plain = [text for text in card.splitlines() if text.startswith("  ") and text[2:3] != " "]
    assert [text[:16].strip() for text in plain] == [
        "would change",
        "arguments",
        "asked by",
        "decided by",
        "if approved",
        "if rejected",
        "you are",
    ]


@pytest.mark.parametrize("evil", [TEXTS[name] for name in SOME if name != "no characters"])
def test_the_command_line_shows_a_run_and_its_approval_without_obeying_it(
    evil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile_desk.py").write_text(MODULE.format(evil=evil), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "hostile_desk", raising=False)
    db = f"sqlite:///{tmp_path}/desk.db"
    with SQLCheckpointer(db) as saver:
        graph, config = desk(evil, checkpointer=saver), {"configurable": {"thread_id": "t"}}
        value = graph.invoke({"messages": [("user", evil)]}, config, context=ADA)["__interrupt__"][0].value
        graph.instances.decide(value["approvalId"], {"type": "reject", "message": f"no {evil}"}, by=BEN)
        workflow_id = value["workflowId"]
    app = ("--app", "hostile_desk:flow", "--db", db)

    for arguments in (
        ("approvals", "show", value["approvalId"], *app),
        ("approvals", "show", value["approvalId"], *app, "--json"),
        ("approvals", "list", "--status", "rejected", "--db", db),
        ("audit", workflow_id, "--db", db),
        ("audit", workflow_id, "--db", db, "--json"),
        ("audit", workflow_id, "--db", db, "--export", "-"),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, (arguments, result.output)
        assert live(result.output, lines=True) == [], arguments


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.out = io.StringIO()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.out.write(self.format(record) + "\n")


@pytest.fixture
def log() -> Any:
    logger, heard = logger_of("interlock.sinks_test"), Heard()
    logger.addHandler(heard)
    logger.propagate = False
    yield logger, heard
    logger.removeHandler(heard)


@pytest.mark.parametrize("evil", TEXTS.values(), ids=TEXTS.keys())
def test_a_log_line_is_one_line_whatever_it_quotes(evil: str, log: Any) -> None:
    logger, heard = log
    logger.warning("the event %s (%d) failed in %r", evil, 3, evil)
    logger.warning("mapped %(name)s", {"name": evil})

    assert heard.out.getvalue().count("\n") == 2
    assert live(heard.out.getvalue(), lines=True) == []
    assert line(evil) in heard.out.getvalue()


@pytest.mark.parametrize("evil", TEXTS.values(), ids=TEXTS.keys())
def test_a_traceback_in_a_log_obeys_nothing(evil: str, log: Any) -> None:
    logger, heard = log
    try:
        raise ValueError(evil)
    except ValueError:
        logger.exception("it failed")

    assert live(heard.out.getvalue(), lines=True) == []


def test_a_secret_is_in_no_traceback_of_a_log_not_even_in_its_causes(log: Any) -> None:
    logger, heard = log
    secrets = Secrets(["4111111111111111"])
    try:
        try:
            raise ValueError("card 4111 1111 1111 1111 is blocked")
        except ValueError as cause:
            raise RuntimeError("declined 4111111111111111") from cause
    except RuntimeError as error:
        logger.error("the tool failed: %s", error, exc_info=error, extra=hiding(secrets))

    assert "1111" not in heard.out.getvalue()
    assert heard.out.getvalue().count("***") == 5
