"""A walk over the command line: each command that acts for somebody or looks for a tenant, called as those who may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from interlock import Principal, SQLCheckpointer, WorkflowStore
from interlock.cli import build_app
from tests.cli.support import run
from tests.security import desk_app
from tests.security.entry_points import SECRETS, THREAD

DESK, BROKEN = "tests.security.desk_app:workflow", "tests.security.desk_app:broken"
MADE_UP = {"approval": "apr_afzja2dhbapt68edg0xng0t762", "instance": "wf_nobody"}

DECIDING = {
    "approvals approve": ["{approval}"],
    "approvals edit": ["{approval}", '{{"orderId": "W-1"}}'],
    "approvals reject": ["{approval}"],
    "approvals respond": ["{approval}", "B-INJECT"],
    "approvals reassign": ["{approval}", "mallory"],
    "approvals remind": ["{approval}"],
}
RESOLVING = {
    "resolve": ["{instance}", "--happened", '"refunded"'],
    "resolve --retry": ["{instance}", "--retry"],
    "resolve --failed": ["{instance}", "--failed"],
}
OF_A_TENANT = {
    "approvals list": ["--status", "any"],
    "approvals delegate": ["mallory", "--until", "1d"],
    "approvals delegations": [],
    "instances": [],
    "events list": [],
    "resolve": [],
    "stats": ["--app", DESK],
    "audit-heads": ["--key", "{key}"],
    "access": ["--app", DESK, "--since", DESK],
}
"""Those that look, and what they are given beside a tenant and a database."""
NAMING_ONE = {
    "cancel": ["{instance}", "--reason", "B-INJECT", "--as", "mallory"],
    "budgets raise": ["{instance}", "case", "1000", "--reason", "B-INJECT", "--as", "mallory"],
    "audit": ["{instance}", "--erase", "B-INJECT", "--as", "mallory"],
    "audit-heads": ["{instance}", "--key", "{key}"],
}
"""Those of a tenant that are told which instance."""
OPERATORS = {
    "budgets list": "the operator's, who has the database: shows counts",
    "approvals show": "the operator's, who has the database: shows a request whole",
    "demo": "a workflow of its own",
    "show": "about a definition",
    "check": "about a definition",
    "tick": "takes up what is overdue or settled as the library itself",
    "case": "the operator's, who has the database: explains where an instance stands, with sensitive fields masked",
    "resume": "lets a thread go on as the library itself, which decides nothing",
    "trace": "looks up where an instance is traced",
    "traces": "receives traces on this machine",
    "feedback": "sends what was decided to LangSmith",
    "doctor": "about the environment",
    "relay": "publishes as the library itself",
    "subscribe": "takes events in, each of which is of one tenant",
    "work": "carries out as the library itself what was enqueued",
    "runs list": "the operator's; --tenant is a filter (tests/engines/test_command_line.py)",
    "runs retry": "the operator's, who has the database",
    "runs cancel": "the operator's, who has the database",
    "serve": "a service, whose users its own tests walk over",
    "events show": "the operator's, who has the database",
    "events retry": "the operator's, who has the database",
    "events export": "about contracts",
    "events check": "about contracts",
    "events trim": "deletes what is old, whosever it is",
    "db upgrade": "about the tables",
    "db stats": "about the tables",
    "db import": "copies threads of another saver",
    "db prune": "deletes what is old, whosever it is",
    "db retire": "deletes finished instances, whosever they are",
    "db reencrypt": "about the keys",
    "db restored": "holds the whole database",
    "db resume": "lets the whole database go on; says who said so",
    "mcp serve": "a server, whose users its own tests walk over",
    "mcp approve": "a server, whose users its own tests walk over",
    "mcp lock": "about a server's tools",
    "mcp diff": "about a server's tools",
    "mcp verify": "about a server's tools",
}
"""Those that act for nobody in particular, and why."""


def leaves(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    command = typer.main.get_command(build_app()) if command is None else command
    if hasattr(command, "commands"):
        for name, one in command.commands.items():
            yield from leaves(one, (*path, name))
        return
    yield " ".join(path), {option for parameter in command.params for option in parameter.opts}


def test_every_command_is_listed() -> None:
    walked = {name.partition(" --")[0] for name in (*DECIDING, *RESOLVING, *OF_A_TENANT, *NAMING_ONE)}
    found = dict(leaves())
    assert found.keys() == walked | OPERATORS.keys(), "say in tests/security/test_command_line.py who may"
    assert walked.isdisjoint(OPERATORS)
    for name, options in found.items():
        if ("--tenant" in options and name != "runs list") or ("--as" in options and name != "db resume"):
            assert name in walked, f"{name} is told whose or for whom it is: it is to be called here"


class Place:
    """A database with one instance of acme's, which serves ada."""

    def __init__(self, folder: Path, name: str, *, begun: bool = True, is_broken: bool = False) -> None:
        self.app = BROKEN if is_broken else DESK
        self.db = f"sqlite:///{folder / name}.db"
        self.key = folder / "key.pem"
        private = Ed25519PrivateKey.generate()
        self.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        desk_app.RAN.clear()
        self.ids = dict(MADE_UP)
        self.store = WorkflowStore(self.db)
        self.store.setup()
        if not begun:
            return
        flow = desk_app.broken() if is_broken else desk_app.workflow()
        with SQLCheckpointer(self.db) as saver:
            graph = flow.compile(saver)
            by = Principal("ada", tenant="acme")
            try:
                graph.invoke({"messages": [("user", "A-SECRET, please refund")]}, THREAD, context=by)
            except desk_app.Died:
                graph.invoke(None, THREAD, context=by)
            self.ids["instance"] = graph.instances.id_of(THREAD)
        if not is_broken:
            (waiting,) = self.store.approvals(tenant="acme").approvals
            self.ids["approval"] = waiting.approval_id

    def call(self, name: str, arguments: list[str], *who: str, ids: dict[str, str] | None = None) -> tuple[int, str]:
        """The exit code and everything that was said, with the ids that were named taken out of it."""
        ids = self.ids if ids is None else ids
        given = [one.format(**ids, key=self.key) for one in arguments]
        app = (
            ["--app", self.app]
            if name.startswith(("approvals", "resolve", "cancel", "budgets")) and name != "approvals list"
            else []
        )
        result = run(*name.partition(" --")[0].split(), *given, *app, "--db", self.db, *who)
        said = result.output
        for one in (*ids.values(), self.db):
            said = said.replace(one, "ID")
        return result.exit_code, " ".join(said.split())

    def stands(self) -> tuple[Any, ...]:
        """All that somebody could have moved."""
        instance = self.store.get(self.ids["instance"])
        waiting = [one.approval_id for one in self.store.approvals(tenant="acme").approvals]
        unsettled = [(one.idempotency_key, one.status) for one in self.store.unsettled()]
        erased = [record.number for record in self.store.audit(instance.workflow_id) if record.is_erased]
        return instance.state, instance.revision, instance.data, waiting, unsettled, erased, list(desk_app.RAN)

    def refusals_of(self, who: str) -> int:
        """How many records say that somebody was refused."""
        return sum(
            record.kind.value in {"denial", "decision_refused"} and record.principal_id == who
            for record in self.store.audit(self.ids["instance"])
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "acme")


@pytest.fixture
def broken(tmp_path: Path) -> Place:
    return Place(tmp_path, "acme", is_broken=True)


@pytest.fixture
def nothing(tmp_path: Path) -> Place:
    return Place(tmp_path, "nothing", begun=False)


ELSEWHERE = ("--as", "ada", "--tenant", "elsewhere")


def _may(name: str) -> tuple[str, ...]:
    return ("--role", "supervisor") if name in DECIDING else ()


class TestAnotherTenant:
    @pytest.mark.parametrize("name", DECIDING)
    def test_a_decision_meets_what_it_would_meet_where_nothing_is(
        self, name: str, place: Place, nothing: Place
    ) -> None:
        before = place.stands()
        met = place.call(name, DECIDING[name], *ELSEWHERE, *_may(name))
        assert met == nothing.call(name, DECIDING[name], *ELSEWHERE, *_may(name))
        assert met[0] != 0
        assert place.stands() == before

    @pytest.mark.parametrize("name", RESOLVING)
    def test_a_resolution_does_too(self, name: str, broken: Place, nothing: Place) -> None:
        before = broken.stands()
        met = broken.call(name, RESOLVING[name], *ELSEWHERE)
        nothing.app = BROKEN
        assert met == nothing.call(name, RESOLVING[name], *ELSEWHERE)
        assert met[0] != 0
        assert broken.stands() == before

    @pytest.mark.parametrize("name", NAMING_ONE)
    def test_a_command_that_names_an_instance_does_too(self, name: str, place: Place, nothing: Place) -> None:
        before = place.stands()
        met = place.call(name, NAMING_ONE[name], "--tenant", "elsewhere")
        assert met == nothing.call(name, NAMING_ONE[name], "--tenant", "elsewhere")
        assert met[0] != 0
        assert place.stands() == before

    @pytest.mark.parametrize("name", OF_A_TENANT)
    @pytest.mark.parametrize("where", ["place", "broken"])
    def test_a_list_shows_nothing_of_it(self, name: str, where: str, request: pytest.FixtureRequest) -> None:
        place: Place = request.getfixturevalue(where)
        _, said = place.call(name, OF_A_TENANT[name], "--tenant", "elsewhere", "--json")
        # `resolve` and `approvals list` would show arguments, and the others ids.
        assert not [secret for secret in (*SECRETS, "ID") if secret in said], said
        _, own = place.call(name, OF_A_TENANT[name], "--tenant", "acme", "--json")
        shows = {"instances", "audit-heads", "resolve" if where == "broken" else "approvals list"}
        assert ("ID" in own) is (name in shows)


class TestTheSameTenant:
    @pytest.mark.parametrize("who", ["cole", "anonymous"])
    @pytest.mark.parametrize("name", DECIDING)
    def test_who_is_not_asked_decides_nothing_and_is_recorded(self, name: str, who: str, place: Place) -> None:
        before = place.stands()
        role = (
            ("--role", "supervisor") if who == "anonymous" else ("--role", "clerk")
        )  # nobody has no role, whatever is said
        code, said = place.call(name, DECIDING[name], "--as", who, "--tenant", "acme", *role)
        assert (code, place.stands(), place.refusals_of(who)) == (1, before, 1)
        assert "may not" in said
        assert not [secret for secret in SECRETS if secret in said]

    def test_who_asked_does_not_decide(self, place: Place) -> None:
        before = place.stands()
        code, _ = place.call(
            "approvals approve",
            DECIDING["approvals approve"],
            "--as",
            "ada",
            "--tenant",
            "acme",
            "--role",
            "supervisor",
        )
        assert (code, place.stands(), place.refusals_of("ada")) == (1, before, 1)

    @pytest.mark.parametrize("who", ["ada", "anonymous"])
    @pytest.mark.parametrize("name", RESOLVING)
    def test_neither_who_is_served_nor_nobody_says_what_became_of_an_attempt(
        self, name: str, who: str, broken: Place
    ) -> None:
        before = broken.stands()
        code, said = broken.call(name, RESOLVING[name], "--as", who, "--tenant", "acme")
        assert code != 0
        assert "may not resolve" in said
        assert (broken.stands(), broken.refusals_of(who)) == (before, 1)

    def test_who_is_asked_decides(self, place: Place) -> None:
        who = ("--as", "sue", "--tenant", "acme", "--role", "supervisor")
        assert place.call("approvals approve", DECIDING["approvals approve"], *who)[0] == 0

    def test_somebody_else_of_the_tenant_says_what_became_of_an_attempt(self, broken: Place) -> None:
        assert broken.call("resolve", RESOLVING["resolve"], "--as", "otto", "--tenant", "acme")[0] == 0


@pytest.mark.parametrize("who", ["interlock:clock", "event:/crm", " ", "a\nb", "x" * 300])
@pytest.mark.parametrize("name", [*DECIDING, "resolve"])
def test_nobody_acts_as_the_library_or_under_no_name(name: str, who: str, place: Place) -> None:
    before = place.stands()
    code, _ = place.call(name, {**DECIDING, **RESOLVING}[name], "--as", who, "--tenant", "acme")
    assert code == 2
    assert place.stands() == before
