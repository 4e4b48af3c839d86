"""The codes that the source gives to single errors, narrower than the code of the exception's class, and what each means."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import interlock
from interlock import ErrorCode
from interlock.tools import errors

PACKAGE = Path(interlock.__file__).parent

MEANINGS = {
    "already_compiled": "`--app` names a compiled graph, which has its database, and `--db` names another.",
    "async_tool": "An async tool was called synchronously, from within an async tool that runs for a synchronous caller.",
    "claim_not_proved": "`interlock.testing`: a claim does not hold, or the workflow has something suspicious in it.",
    "connection": "`due(connection)` was given a connection that it cannot use.",
    "data_changed": "The stored data of an instance does not fit the data model of this version.",
    "forks_forbidden": "The claims of the workflow are proved for instances that are never forked.",
    "form_token": "The console did not give this form to this browser, or the form is too old.",
    "import_differs": "A checkpoint did not come back as it was written, or was deleted in the source during the import.",
    "input_required": "An MCP server asked for further input in the middle of a call.",
    "insecure_keys": "The keys of an issuer would come over plain HTTP.",
    "internal_error": "A mistake of Interlock's own. Please report it.",
    "invalid_cursor": "The cursor of a list is not one that an earlier page gave.",
    "invalid_id": "An identifier is empty, too long, or holds control characters.",
    "invalid_params": "An MCP server refused the arguments of a call.",
    "invalid_request": "A request to the HTTP API lacks a parameter, or has one of a wrong form.",
    "invalid_token": "The bearer token does not verify, was revoked, or names nobody.",
    "key_required": "A command was proposed from outside with neither a key nor a revision.",
    "keys_unavailable": "The issuer's keys could not be fetched. Retryable.",
    "mcp_not_installed": "The extra `mcp` is not installed.",
    "misplaced_value": "An encrypted value was not encrypted for the row in which it is.",
    "missing_credential": "No credential for an MCP server was given. Nothing was sent.",
    "missing_extra": "An optional package is not installed; the message names the extra.",
    "model_error": "The model could not be made, or answered with something that is not a message.",
    "needs_postgresql": "The queue takes PostgreSQL.",
    "needs_yes": "`--json` leaves nobody to ask; give `--yes`.",
    "no_actor": "The command does not say who acts; give `--as`.",
    "no_answer": "`interlock resolve` was not told what became of the effect.",
    "no_app": "No workflow was named; give `--app`, or set `INTERLOCK_APP`.",
    "no_checkpointer": "The graph or agent runs without a checkpointer, and could not go on from where it waits.",
    "no_conversation": "The conversation is not kept by Interlock's checkpointer, so it cannot be erased here.",
    "no_credentials": "`LANGSMITH_API_KEY` is not set.",
    "no_database": "No database was named, or the file is not there.",
    "no_head": "The checkpoints that follow the last command of an instance are gone.",
    "no_instance": "Neither an instance nor a trace was named.",
    "no_issuer": "What verifies access tokens was not given: issuer, resource or keys.",
    "no_root": "The workflow runs inside another graph, which the worker was not given.",
    "no_thread": "The run, card or middleware does not know on which thread to go on.",
    "no_token": "`INTERLOCK_TOKEN` is not set, so the approver is not known.",
    "not_a_head": "A line is not a signed head of an audit trail.",
    "not_an_export": "A line is not a record of an exported audit trail.",
    "not_bound": "A value was encrypted by an earlier release, without its row.",
    "not_encrypted": "A value is in clear where only encrypted ones are accepted.",
    "not_entitled": "The principal may not see or do this.",
    "not_installed": "An optional package is not installed; the message names the extra.",
    "not_read_back": "A row that was encrypted again did not read back as it was. It was left as it is.",
    "not_the_demo": "The database holds a shop that the demo did not make.",
    "not_written": "A file could not be written.",
    "nothing_to_resolve": "The instance has no command whose outcome is unknown.",
    "other_database": "The workflow keeps its instances in another database than the queue.",
    "other_origin": "The request comes from a page of another origin.",
    "other_workflow": "The instance or thread belongs to another workflow than `--app` names.",
    "path_not_taken": "`interlock.testing`: the workflow left the path that was replayed.",
    "per_tenant": "The queue holds jobs that were enqueued with the other setting of `per_tenant`.",
    "port_taken": "The port is in use.",
    "refused_by_pooler": "The pooler before the database takes no `options` from its clients.",
    "reserved_workflow_id": "The id has the form of ids that Interlock makes, and there is no such instance.",
    "script_error": "`interlock.testing`: a script and the conversation do not fit together.",
    "settings": "A server was given no workflow, or two of one name.",
    "several_instances": "The thread has several instances; name one.",
    "store_in_memory": "A workflow in memory runs inside a graph whose checkpoints are kept.",
    "thread_deleted": "The thread was deleted while the run went on.",
    "thread_exists": "The thread to which one is copied or imported has checkpoints already.",
    "transaction_aborted": "PostgreSQL takes no further statement in a transaction in which one failed.",
    "type_not_allowed": "A stored value is of a class that may not be loaded.",
    "unauthenticated": "The request has no credential.",
    "ungated_call": "A workflow's tool was called past the workflow's middleware.",
    "unknown_app": "`--app` or `--root` names something that is not a workflow.",
    "unknown_approval": "The database has no approval with this id.",
    "unknown_bus": "The URL names no broker that Interlock knows.",
    "unknown_checkpoint": "There is no checkpoint to fork from.",
    "unknown_instance": "The instance is gone, or belongs to another workflow.",
    "unknown_key": "A value is encrypted with a key that this process does not have.",
    "unknown_object": "An option does not name an object of the kind that it takes.",
    "unknown_page": "The console has no such page.",
    "unknown_run": "The queue has no run with this number.",
    "unknown_workflow": "No workflow of this name is served or known to these runs.",
    "unreadable_keys": "The keys that verify tokens cannot be read.",
    "unreadable_value": "A stored value cannot be read: another serializer or key, or damage.",
    "unusable_serializer": "The serializer does not give back what it was given.",
    "usage": "Options of a command do not go together, or have a wrong value.",
    "value_not_storable": "A value has no stored form that would come back as the same value.",
    "value_too_large": "A statement is larger than the MySQL server takes at once.",
    "wait_error": "A wait cannot tell what it expects, or its `apply` left invalid data.",
}  # fmt: skip


def _own_codes() -> set[str]:
    """Those that have a row of their own on the page."""
    tree = {one.default_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "default_code")}
    return {code.value for code in ErrorCode} | tree


def narrower() -> dict[str, set[str]]:
    """Each code that the source writes as a literal, and the exceptions that it is given to.

    The ready-made workflows are left out: their refusals are part of those workflows, as an application's own are.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "workflows":
            tree = ast.parse(path.read_text("utf-8"))
            named = {
                target.id: node.value
                for node in tree.body
                if isinstance(node, ast.Assign)
                for left in node.targets
                for target in (left.elts if isinstance(left, ast.Tuple) else [left])
                if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
            }
            for node in ast.walk(tree):
                for where, value in _codes(node):
                    constant = named.get(value.id) if isinstance(value, ast.Name) else value
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        found[constant.value].add(where)
    for code in _own_codes():
        found.pop(code, None)
    return dict(found)


def _codes(node: ast.AST) -> list[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call):
        return [(ast.unparse(node.func).split(".")[-1], given.value) for given in node.keywords if given.arg == "code"]
    if isinstance(node, ast.ClassDef):
        return [
            (node.name, one.value)
            for one in node.body
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "default_code"
        ]
    return []
