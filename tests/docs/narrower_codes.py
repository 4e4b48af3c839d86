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
    "already_compiled": "`--app` names a compiled graph, which has its own database, and `--db` names another one.",
    "async_tool": "A synchronous call reached an async tool from inside another async tool that runs for a synchronous caller.",
    "claim_not_proved": "`interlock.testing`: a claim does not hold, or the check found a problem in the workflow.",
    "connection": "`due(connection)` cannot use the given connection.",
    "data_changed": "The stored data of an instance does not fit the data model of this version.",
    "forks_forbidden": "The claims of the workflow are proved for instances that are never forked.",
    "form_token": "The console did not send this form to this browser, or the form is too old.",
    "import_differs": "A checkpoint was not read back as it was written, or was deleted in the source during the import.",
    "input_required": "An MCP server requested further input during a call.",
    "insecure_keys": "The keys of an issuer would come over plain HTTP.",
    "internal_error": "A bug in Interlock. Please report it.",
    "invalid_cursor": "The cursor of a list did not come from an earlier page.",
    "invalid_id": "An identifier is empty, too long, or contains control characters.",
    "invalid_params": "An MCP server refused the arguments of a call.",
    "invalid_request": "A request to the HTTP API lacks a parameter, or has an invalid one.",
    "invalid_token": "The bearer token cannot be verified, was revoked, or names nobody.",
    "key_required": "A command was proposed from outside with neither a key nor a revision.",
    "keys_unavailable": "The issuer's keys could not be fetched. Retryable.",
    "login_refused": "The database server does not let the user of the URL in.",
    "mcp_not_installed": "The extra `mcp` is not installed.",
    "misplaced_value": "An encrypted value was encrypted for another row.",
    "missing_credential": "The credential for an MCP server is missing. Nothing was sent.",
    "missing_extra": "An optional package is not installed; the message names the extra.",
    "missing_right": "The database user lacks a right that the statement needs.",
    "model_error": "The model could not be created, cannot be given tools, or its answer is not a message.",
    "needs_postgresql": "The queue requires PostgreSQL.",
    "needs_yes": "With `--json`, the command cannot ask for confirmation; pass `--yes`.",
    "no_actor": "The command does not say who acts; pass `--as`.",
    "no_answer": "`interlock resolve` needs the outcome of the effect.",
    "unknown_budget": "The workflow has no budget with that name.",
    "no_amount": "A budget is raised by a positive amount, and by no more than can be counted.",
    "no_reason": "The act requires a reason, or note, that can be stored: text of 1 to 2,000 characters.",
    "no_key": "A budget is raised under a key of the caller's own.",
    "not_cancellable": "The workflow does not say who may cancel its instances.",
    "not_cancelled": "The instance was not cancelled.",
    "cancelling": "The instance is being cancelled, so the call is not retried.",
    "no_app": "No workflow was named; pass `--app`, or set `INTERLOCK_APP`.",
    "no_checkpointer": "The graph or agent has no checkpointer, so it could not resume after waiting.",
    "no_conversation": "Interlock's checkpointer does not store the conversation, so it cannot be erased here.",
    "no_credentials": "`LANGSMITH_API_KEY` is not set.",
    "no_database": "No database was named, or the file does not exist.",
    "no_head": "The checkpoints after the last command of an instance are missing.",
    "no_instance": "Neither an instance nor a trace was named.",
    "no_issuer": "The issuer, the resource or the keys that verify access tokens are missing.",
    "no_root": "The workflow runs inside another graph, which was not passed to the worker.",
    "no_schema": "The connection's search path names no schema that exists.",
    "no_thread": "The run, card or middleware does not know which thread to resume.",
    "no_token": "`INTERLOCK_TOKEN` is not set, so the approver is unknown.",
    "not_a_head": "A line is not a signed head of an audit trail.",
    "not_an_export": "A line is not a record of an exported audit trail.",
    "not_bound": "A value was encrypted by an earlier release, without its row.",
    "not_encrypted": "A value is not encrypted, but only encrypted values are accepted.",
    "not_entitled": "The principal may not see or do this.",
    "not_installed": "An optional package is not installed; the message names the extra.",
    "not_read_back": "A re-encrypted row did not read back as before. The old row was kept.",
    "not_the_demo": "The database contains a shop that the demo did not create.",
    "not_written": "A file could not be written.",
    "nothing_to_resolve": "The instance has no command whose outcome is unknown.",
    "other_database": "The workflow stores its instances in a database other than the queue's.",
    "other_origin": "The request comes from a page of another origin.",
    "other_workflow": "The instance or thread belongs to a workflow other than the one in `--app`.",
    "path_not_taken": "`interlock.testing`: the workflow left the path that was replayed.",
    "per_tenant": "The queue contains jobs that were enqueued with the other setting of `per_tenant`.",
    "port_taken": "The port is in use.",
    "refused_by_pooler": "The pooler in front of the database refuses `options` from its clients.",
    "reserved_workflow_id": "The id has the form of Interlock's generated ids, and there is no such instance.",
    "script_error": "`interlock.testing`: a script does not match the conversation.",
    "settings": "A server has no workflow, or two with the same name.",
    "several_instances": "The thread has several instances; name one.",
    "store_in_memory": "A workflow in memory runs inside a graph whose checkpoints are durable.",
    "thread_deleted": "The thread was deleted during the run.",
    "thread_exists": "The target thread of a copy or an import already has checkpoints.",
    "transaction_aborted": "PostgreSQL refuses further statements in a transaction after one failed.",
    "type_not_allowed": "A stored value has a class that must not be loaded.",
    "unauthenticated": "The request has no credential.",
    "ungated_call": "A workflow's tool was called without passing through the workflow's middleware.",
    "unknown_app": "`--app` or `--root` names something that is not a workflow.",
    "unknown_approval": "The database has no approval with this id.",
    "unknown_bus": "The URL names no broker that Interlock knows.",
    "unknown_checkpoint": "There is no checkpoint to fork from.",
    "unknown_instance": "The instance does not exist, or belongs to another workflow.",
    "unknown_key": "A value is encrypted with a key that this process does not have.",
    "unknown_object": "An option names an object of the wrong kind.",
    "unknown_page": "The console has no such page.",
    "unknown_run": "The queue has no run with this number.",
    "unknown_workflow": "No workflow with this name is served or registered.",
    "unreadable_keys": "The keys that verify tokens cannot be read.",
    "unreadable_value": "A stored value cannot be read: it has another serializer or key, or is damaged.",
    "unusable_serializer": "The serializer does not return what it was given.",
    "usage": "Options of a command cannot be combined, or have an invalid value.",
    "value_not_storable": "A value cannot be stored so that it reads back as the same value.",
    "value_too_large": "A statement is larger than the MySQL server accepts.",
    "wait_error": "A wait cannot determine what it expects, or its `apply` left invalid data.",
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
