"""The six questions of the person on call, each answered by one command on a screen of 80 columns; and what is pasted from there works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from interlock import Principal, SQLCheckpointer
from interlock.tools.explanation import Explanation
from tests.cli import on_call
from tests.cli.support import lines, run, run_apart

ANN = Principal("ann")
APP = "tests.cli.on_call:workflow"
ID = re.compile(r"(?:wf|apr|trace)_[0-9a-z]{26}")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with one instance for each thing that may be the matter, in threads of that name."""
    on_call.RAN.clear()
    path = str(tmp_path / "desk.db")
    monkeypatch.setenv("INTERLOCK_DB", path)
    monkeypatch.setenv("INTERLOCK_APP", APP)
    monkeypatch.setenv("COLUMNS", "80")
    with SQLCheckpointer(f"sqlite:///{path}") as saver:
        graph = on_call.workflow().compile(saver)
        for name in on_call.SCRIPTS:
            graph.invoke({"messages": [("user", name)]}, {"configurable": {"thread_id": f"t-{name}"}}, context=ANN)
    return path


def screen(*arguments: str) -> str:
    """What stands on a screen of 80 columns."""
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if len(line) > 80] == []
    return done.output


def sections(output: str) -> dict[str, str]:
    """The parts of `interlock case` by their headings, each on one line."""
    found: dict[str, str] = {}
    name = "head"
    for line in output.splitlines():
        if line and not line.startswith(" ") and found:
            name = line
        found[name] = f"{found.get(name, '')} {line.strip() if line != name else ''}"
        if name == "head" and not line:
            found.setdefault("", "")
    return {key: " ".join(value.split()) for key, value in found.items()}


def commands(output: str) -> list[list[str]]:
    """The commands that stand there to be pasted, as a shell reads them."""
    whole = output.replace("\\\n", " ")
    lines = [
        line.strip() for line in whole.splitlines() if re.match(r"    (?:\S*interlock|python -m interlock) ", line)
    ]
    return [shlex.split(line.removeprefix("python -m "))[1:] for line in lines]


def stands(thread: str) -> Explanation:
    return Explanation.model_validate(json.loads(run("case", thread, "--json").output))


class TestTheSixQuestions:
    def test_what_is_it_waiting_for(self, database: str) -> None:
        told = {name: sections(screen("case", f"t-{name}"))["waits for"] for name in on_call.SCRIPTS}
        assert told["refund"] == "A decision on order.refund, for ann."
        assert told["ask"].startswith("desk.customer.replied.v1, since ")
        assert told["send"] == "A person has to say what became of parcel.send (attempt 1), which was interrupted."
        assert told["note"].startswith("It rests in 'open' until somebody says something")

    def test_who_may_decide(self, database: str) -> None:
        told = sections(screen("case", "t-refund"))["may decide"]
        assert told.startswith("somebody with the role 'supervisor' about order.refund, asked by ann")
        assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told)

    def test_why_was_it_denied(self, database: str) -> None:
        told = sections(screen("case", "t-denied"))["denied last"]
        assert told.startswith("desk.close policy_denied, by ann, ")
        assert told.endswith("it takes the role 'boss'")

    def test_what_did_it_do_so_far(self, database: str) -> None:
        told = " ".join(screen("audit", stands("t-ask").workflow_id).split())
        assert "ann started in open, for ann" in told
        assert "ann transition desk.ask open → asked" in told
        assert "2 records" in told or "3 records" in told
        assert "ann, transition desk.ask: open → asked" in sections(screen("case", "t-ask"))["so far"]

    def test_what_happens_if_nobody_acts(self, database: str) -> None:
        told = {name: sections(screen("case", f"t-{name}"))["if nobody acts"] for name in on_call.SCRIPTS}
        moment = r"At \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        assert re.fullmatch(
            f"{moment}, if nobody has decided on order.refund, the request is rejected. A tick does it.", told["refund"]
        )
        assert re.fullmatch(f"{moment} it continues to 'closed'. A tick does it.", told["ask"])
        assert told["send"] == "Nothing: it waits forever, because parcel.send is never retried automatically."
        assert told["note"] == "Nothing: it stays in 'open' forever."

    def test_how_do_i_let_it_go_on(self, database: str) -> None:
        """What is pasted works, once the words in capitals are filled in."""
        pasted = commands(screen("case", "t-refund"))
        assert [words[:2] for words in pasted[:3]] == [
            ["approvals", "show"],
            ["approvals", "approve"],
            ["approvals", "reject"],
        ]
        assert run(*pasted[0]).exit_code == 0
        done = run(*(word.replace("WHO", "sue") for word in pasted[1]))
        assert done.exit_code == 0, done.output
        assert on_call.RAN[-1] == "refund 5"
        assert stands("t-refund").waits_for.startswith("It rests")

        pasted = commands(screen("case", "t-send"))
        happened, retry, failed = ([*words] for words in pasted[:3])
        assert [words[-1] for words in (retry, failed)] == ["--retry", "--failed"]
        done = run(*(word.replace("WHO", "op").replace("JSON", '"sent"') for word in happened))
        assert done.exit_code == 0, done.output
        assert "resumed" in done.output
        assert stands("t-send").attempts == ()


class TestWhyNot:
    def test_each_tool_that_may_not_be_called_has_its_reason(self, database: str) -> None:
        def why(thread: str) -> dict[str, str]:
            return {one.tool: one.why for one in stands(thread).not_allowed}

        assert why("t-note") == {"desk.note": "limit", "desk.close": "policy"}
        assert why("t-refund") == {"order.refund": "approval_open", "desk.close": "policy"}
        assert set(why("t-ask").values()) == {"wait"}
        assert why("t-send")["order.refund"] == "under_way"
        run(
            "approvals",
            "approve",
            stands("t-refund").approvals[0].approval_id,
            "--as",
            "sue",
            "--role",
            "supervisor",
            "--resume",
        )
        assert why("t-refund")["order.cancel"] == "guard"
        (guarded,) = (one for one in stands("t-refund").not_allowed if one.tool == "order.cancel")
        assert guarded.reason == "its guard does not hold: not_refunded, of the edge to 'closed'"

    def test_allowed_and_not_allowed_are_all_tools_and_as_everywhere(self, database: str) -> None:
        with SQLCheckpointer(f"sqlite:///{database}") as saver:
            graph = on_call.workflow().compile(saver)
            for name in on_call.SCRIPTS:
                told = graph.instances.explain({"configurable": {"thread_id": f"t-{name}"}})
                allowed, closed = {one.tool for one in told.allowed}, {one.tool for one in told.not_allowed}
                assert allowed | closed == set(graph.engine.definition.contracts)
                assert allowed & closed == set()
                offered = set(graph.instances.snapshot(told.workflow_id, principal=ANN).next_allowed_tools)
                assert allowed <= offered

    async def test_it_is_explained_asynchronously_too(self, database: str) -> None:
        async with SQLCheckpointer(f"sqlite:///{database}") as saver:
            graph = on_call.workflow().compile(saver)
            here = {"configurable": {"thread_id": "t-ask"}}
            assert await graph.instances.aexplain(here) == graph.instances.explain(here)

    def test_sensitive_data_is_masked(self, database: str) -> None:
        shown = screen("case", "t-note") + run("case", "t-note", "--json").output
        assert "DE02120300000000202051" not in shown
        assert "***" in shown


class TestDecidedAndNotGoneOn:
    def test_it_says_so_and_how_it_goes_on(self, database: str) -> None:
        approval_id = stands("t-refund").approvals[0].approval_id
        run("approvals", "approve", approval_id, "--as", "sue", "--role", "supervisor")
        told = sections(screen("case", "t-refund"))
        assert (
            told["waits for"]
            == "The request for order.refund was approved by sue, and its thread has not continued since."
        )
        assert told["if nobody acts"] == "The next tick resumes its thread."
        (resume, audit) = commands(screen("case", "t-refund"))
        assert (resume[0], audit[0]) == ("resume", "audit")
        done = run(*resume)
        assert done.exit_code == 0, done.output
        assert "resumed, and is in 'open'" in done.output
        assert on_call.RAN[-1] == "refund 5"


class TestIds:
    def test_every_id_stands_whole_on_a_line(self, database: str) -> None:
        waiting = stands("t-refund").approvals[0].approval_id
        for arguments in (
            ("instances",),
            ("approvals", "list"),
            ("resolve",),
            ("case", "t-refund"),
            ("case", "t-send"),
            ("audit", stands("t-refund").workflow_id),
            ("events", "list"),
            ("events", "show", stands("t-ask").workflow_id),
        ):
            output = screen(*arguments)
            for word in re.findall(r"(?:wf|apr|trace|evt)_[0-9a-z…]*", output):
                assert ID.fullmatch(word) or re.fullmatch(r"evt_[0-9a-z]{26}", word), (arguments, word)
        assert waiting in screen("approvals", "list")

    def test_a_thread_longer_than_the_screen_is_not_cut(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, thread = str(tmp_path / "long.db"), "ticket-" + "4711" * 25
        monkeypatch.setenv("INTERLOCK_DB", path)
        monkeypatch.setenv("INTERLOCK_APP", APP)
        with SQLCheckpointer(f"sqlite:///{path}") as saver:
            graph = on_call.workflow().compile(saver)
            graph.invoke({"messages": [("user", "note")]}, {"configurable": {"thread_id": thread}}, context=ANN)
        for arguments in (("instances",), ("case", thread), ("audit", stands(thread).workflow_id)):
            assert thread in run(*arguments).output

    def test_a_command_that_is_too_long_goes_on_below_and_is_read_as_one(self, database: str) -> None:
        output = run("case", "t-refund", "--app", APP, "--db", database).output
        for words in commands(output):
            assert words[-2:] == ["--db", database]
        assert any(line.endswith(" \\") for line in output.splitlines())


class TestListing:
    def test_instances_show_what_they_wait_for_since_when_and_for_whom(self, database: str) -> None:
        rows = {row["threadId"]: row for row in lines(run("instances", "--json").output)}
        assert {thread: row["waitsFor"] for thread, row in rows.items()} == {
            "t-refund": "approval",
            "t-denied": None,
            "t-ask": "event",
            "t-send": "resolution",
            "t-note": None,
        }
        shown = screen("instances")
        for word in ("approval", "event", "resolution", "ann", "t-refund", "asked"):
            assert word in shown

    @pytest.mark.parametrize(
        ("options", "threads"),
        [
            (("--waiting", "approval"), {"t-refund"}),
            (("--waiting", "event"), {"t-ask"}),
            (("--waiting", "resolution"), {"t-send"}),
            (("--state", "asked"), {"t-ask"}),
            (("--thread", "t-note"), {"t-note"}),
            (("--workflow", "other"), set()),
            (("--person", "bob"), set()),
            (("--older", "1h"), set()),
            (("--person", "ann", "--limit", "2"), {"t-note", "t-send"}),
        ],
    )
    def test_they_are_filtered(self, options: tuple[str, ...], threads: set[str], database: str) -> None:
        assert {row["threadId"] for row in lines(run("instances", *options, "--json").output)} == threads

    def test_a_reason_that_there_is_not_is_wrong_usage(self, database: str) -> None:
        done = run("instances", "--waiting", "godot")
        assert done.exit_code == 2
        assert "an instance waits for resolution, approval, event" in " ".join(done.output.split())


class TestWhatIsNotThere:
    @pytest.mark.parametrize("which", ["wf_nothing", "no-thread"])
    def test_it_says_what_to_do(self, which: str, database: str) -> None:
        for verb in ("case", "resume"):
            done = run(verb, which)
            assert done.exit_code == 2
            assert "There is no workflow instance" in done.output

    def test_the_application_of_another_workflow_is_said_to_be_that(self, database: str) -> None:
        done = run("case", "t-note", "--app", "tests.commands.approvals.shop_app:workflow")
        assert done.exit_code == 2
        assert "--app names shop" in " ".join(done.output.split())


def test_the_ways_out_of_a_wait_are_drawn(database: str) -> None:
    shown = screen("show", APP)
    assert re.search(r"├ desk\.customer\.replied\.v1 +event +→ open", shown)
    assert re.search(r"└ after 2 h +deadline +→ closed", shown)


def test_the_command_line_as_a_process_says_the_same(database: str) -> None:
    code, out, _ = run_apart("case", "t-refund", cwd=Path.cwd())
    assert code == 0
    assert sections(out)["waits for"] == "A decision on order.refund, for ann."
