"""What a hostile or unlucky client tries with the Inspector's command line, on the case workflow."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.mcp.server.approval_server import ApprovalServer
from interlock.workflows.case import case_workflow, open_cases
from tests.mcp.conformance.inspector import (
    ERAS,
    TRANSPORTS,
    Asked,
    Inspector,
    Person,
    code_of,
    over_http,
    over_stdio,
    reached,
)
from tests.mcp.server.support import ISSUER, listening, public_pem, token, verifier
from tests.mcp.server.test_races import AT_ONCE, free_ports, processes

APPROVALS = "http://127.0.0.1/approvals"
GUESSED = ("approval_decide", "workflow_approve", "approve")


@contextmanager
def opened(url: str) -> Iterator[WorkflowGraph]:
    """The case workflow over a database."""
    graph = case_workflow().compile(SQLCheckpointer(url))
    open_cases(graph.engine.store)
    yield graph
    graph.engine.store.close()


@contextmanager
def deciding(env: dict[str, str], transport: str, era: str, graph: WorkflowGraph, url: str) -> Iterator[Any]:
    """The approvers' server, for somebody with a token for it."""

    def bearer(who: str) -> str:
        return token(who, aud=APPROVALS, roles=["supervisor"])

    if transport == "http":
        tokens = verifier(APPROVALS)
        app = ApprovalServer(graph, tokens=tokens).http_app(tokens=tokens, issuer=ISSUER, resource=APPROVALS)
        with listening(app) as at:
            yield lambda who: reached(env, era, f"{at}/mcp", bearer(who))
        return
    with tempfile.NamedTemporaryFile(suffix=".pem") as keys:
        keys.write(public_pem())
        keys.flush()
        served = [
            sys.executable, "-m", "interlock", "mcp", "approve", "--stdio", "--app", "case", "--db", url,
            "--issuer", ISSUER, "--resource", APPROVALS, "--keys", keys.name,
        ]  # fmt: skip
        yield lambda who: Inspector(env, era, ["-e", f"INTERLOCK_TOKEN={bearer(who)}"], ["--", *served])


def tried(person: Person, approvers: Any, graph: WorkflowGraph) -> Iterator[tuple[str, object, object]]:
    """Try it all: what was tried, what came of it, and what should have."""
    ada, cole, foreign = person("ada", roles=("supervisor",)), person("cole"), person("ada", tenant="elsewhere")
    started = ada.call("workflow_start", {})
    which = started["workflowId"]
    assign = {"workflowId": which, "expectedRevision": 0, "caseId": "77", "queueId": "billing"}

    yield "foreign tenant: a call", code_of(foreign.call("case_assign", assign)), "unknown_instance"
    yield "foreign tenant: a look", code_of(foreign.call("workflow_status", {"workflowId": which})), "unknown_instance"
    yield "somebody else: a call", code_of(cole.call("case_assign", assign)), "not_entitled"
    first = ada.call("case_assign", assign)
    yield "the call itself", (first["ok"], first["revision"]), (True, 1)
    again = ada.call("case_assign", assign)
    yield (
        "a lost answer, asked for again",
        (again["ok"], again.get("replayed"), again["auditRef"]),
        (
            True,
            True,
            first["auditRef"],
        ),
    )
    move = {"workflowId": which, "expectedRevision": 0, "queueId": "delivery"}
    yield "a stale revision", code_of(ada.call("queue_reassign", move)), "conflict"
    asked = Asked(ada, graph, "queue_reassign", {**move, "expectedRevision": 1})
    proposal = asked.proposal
    about = {"proposalId": proposal}
    yield "what a person must decide", ada.call("workflow_proposal", about)["ok"], None
    yield "somebody else's proposal: asked about", code_of(cole.call("workflow_proposal", about)), "not_entitled"
    yield "somebody else's proposal: withdrawn", code_of(cole.call("workflow_withdraw", about)), "not_entitled"
    yield "another tenant's proposal", code_of(foreign.call("workflow_proposal", about)), "unknown_approval"
    guesses = {code_of(ada.call(one, {"approvalId": proposal, "decision": "approve"})) for one in GUESSED}
    yield "self-approval: tools that decide, guessed", guesses, {"unknown_tool"}
    own, sue = approvers("ada"), approvers("sue")
    shown = sue.call("approval_show", {"approvalId": proposal})
    decision = {"approvalId": proposal, "shownDigest": shown["shownDigest"], "decision": "approve"}
    yield "self-approval: at the approvers' server", code_of(own.call("approval_decide", decision)), "not_entitled"
    yield "it still waits", ada.call("workflow_proposal", about)["ok"], None
    yield "the approver's decision", sue.call("approval_decide", decision).get("status"), "approved"
    done = asked.result()
    yield "carried out after it", (done["ok"], done["revision"]), (True, 2)
    moves = [one.tool for one in graph.instances.audit(which) if one.kind.value == "transition"]
    yield "the record", (moves, graph.engine.store.verify(which)), (["case.assign", "queue.reassign"], [])


def at_once(env: dict[str, str], era: str) -> Iterator[tuple[str, object, object]]:
    """Many calls at once, each by an Inspector of its own, over two processes that serve one database."""
    with tempfile.TemporaryDirectory() as place:
        keys = Path(place) / "issuer.pem"
        keys.write_bytes(public_pem())
        url = f"sqlite:///{place}/cases.db"
        with opened(url) as graph, processes(url, keys, free_ports(2)) as urls, ThreadPoolExecutor(AT_ONCE) as pool:
            clients = [reached(env, era, urls[number % 2], token("ada")) for number in range(AT_ONCE)]

            def came_to(calls: list[dict[str, Any]]) -> Counter[str]:
                def one(client: Inspector, call: dict[str, Any]) -> str:
                    said = client.call("case_assign", call)
                    # As its error says; and an answer that was lost on the way is asked for again.
                    while (code := str(code_of(said))) in {"in_progress", "store_unavailable"} or "unreachable" in code:
                        said = client.call("case_assign", call)
                    return str(code_of(said) or "answered")

                return Counter(pool.map(one, clients, calls))

            for what, expected in (
                ("identical", {"answered": AT_ONCE}),
                ("different", {"answered": 1, "conflict": AT_ONCE - 1}),
            ):
                with graph.engine.store.write() as connection:
                    connection.exec_driver_sql("UPDATE case_cases SET queue_id = NULL")
                which = graph.instances.start(principal=Principal("ada")).workflow_id
                call = {"workflowId": which, "expectedRevision": 0, "caseId": "77", "queueId": "billing"}
                calls = [
                    call if what == "identical" else {**call, "reason": f"reason {number}"} for number in range(AT_ONCE)
                ]
                found = dict(came_to(calls))
                yield f"{AT_ONCE} {what} calls at once over two processes", found, expected
                moves = [one for one in graph.instances.audit(which) if one.kind.value == "transition"]
                yield "transitions of that instance", len(moves), 1


def hostile_checks(env: dict[str, str]) -> bool:
    """Try everything over both transports and in both eras.

    Returns:
        Whether each came to what it should.
    """
    print(
        "\n## The Inspector's command line, hostile and unlucky\n\n| tried | transport | era | came to | |\n|---|---|---|---|---|"
    )
    is_right = True

    def tell(transport: str, era: str, found: Iterator[tuple[str, object, object]]) -> None:
        nonlocal is_right
        for what, came_to, expected in found:
            held = came_to == expected
            is_right = is_right and held
            told = "as it should" if held else f"WRONG, {expected!r} was expected"
            print(f"| {what} | {transport} | {era} | {came_to} | {told} |", flush=True)

    for transport in TRANSPORTS:
        for era in ERAS:
            with tempfile.TemporaryDirectory() as place:
                url = f"sqlite:///{place}/cases.db"
                with opened(url) as graph:
                    way = over_http(env, era, graph) if transport == "http" else over_stdio(env, era, "case", url)
                    with way as person, deciding(env, transport, era, graph, url) as approvers:
                        tell(transport, era, tried(person, approvers, graph))
    for era in ERAS:
        tell("http", era, at_once(env, era))
    return is_right


__all__ = ["hostile_checks"]
