"""The way into a compiled workflow: whose thread it is, before LangGraph reads or writes anything of it."""

from collections.abc import Mapping
from typing import Any

from langgraph.types import Command

from ...tools.principal import Principal
from .access import Access, access, has_thread, record_denial
from .checkpoint_lookup import Saved
from .engine import Engine, unknown_instance
from .scope import is_nested, is_resumed_by_parent


def enter(
    engine: Engine,
    saver: Saved | None,
    configurable: Mapping[str, Any],
    by: Principal,
    given: Any,
    *,
    by_application: bool = False,
) -> Access:
    """Let a run in, or refuse it; a refusal of somebody of the tenant is recorded.

    An answer is let in from everybody of the tenant: whether it counts is for the rule of what it answers. Inside another graph,
    what continues without a new input is that graph's run, and its application's to guard.

    Args:
        engine: The workflow.
        saver: Where its checkpoints are.
        configurable: Of the run.
        by: Who runs it.
        given: The input, a command, or None.
        by_application: Whether nobody was named: then it is the application that resumes the thread.

    Raises:
        RunError: The instance or its thread is another tenant's; or there is nothing to continue with.
        PrincipalError: The workflow serves somebody else.
        StoreHeld: A backup was restored, and nobody has confirmed yet that work may continue.
    """
    engine.store.refuse_held()
    if not has_thread(configurable):
        return Access("", None)  # said by anyone who needs the thread
    found = access(engine, configurable, by, saver)
    if is_nested(configurable):
        if found.is_foreign:
            raise unknown_instance(found.workflow_id, by)
        resumes = given is None or isinstance(given, Command) or is_resumed_by_parent(configurable)
        return found if resumes else _admitted(engine, found, by)
    if isinstance(given, Command) and is_move(given):
        return found  # refused whoever it is
    is_free = found.instance is None and found.refused is None
    if isinstance(given, Command) and given.resume is not None and (given.update is None or is_free):
        return found  # told what waits, which is nothing where nothing of it is theirs
    resumes = given is None or isinstance(given, Command)
    if found.is_foreign or (resumes and found.instance is None and not found.is_begun):
        raise unknown_instance(found.workflow_id, by)
    # Where no instance has begun, it would begin as nobody's with somebody's words.
    is_applications = given is None and by_application and found.instance is not None
    return found if is_applications else _admitted(engine, found, by)


def is_move(command: Command[Any]) -> bool:
    """Whether a command would move the graph, or write another of its channels than the messages."""
    update = command.update
    return bool(command.goto) or not (update is None or (isinstance(update, Mapping) and update.keys() <= {"messages"}))


def may_change(engine: Engine, saver: Saved | None, configurable: Mapping[str, Any], by: Principal) -> None:
    """Let somebody change the conversation of an instance, or refuse them.

    A thread without an instance is nobody's yet: whoever wrote into it would speak in the conversation of whoever begins there.

    Raises:
        RunError: There is no instance, or it or its thread is another tenant's.
        PrincipalError: The workflow serves somebody else.
        StoreHeld: As for `enter`.
    """
    engine.store.refuse_held()
    if not has_thread(configurable):
        return  # said by LangGraph, which needs the thread
    found = access(engine, configurable, by, saver)
    if found.is_foreign or (found.instance is None and found.refused is None):
        raise unknown_instance(found.workflow_id, by)
    _admitted(engine, found, by)


def may_look(engine: Engine, saver: Saved | None, configurable: Mapping[str, Any], by: Principal) -> bool:
    """Whether somebody is shown what a thread holds; to another tenant it is as if there were nothing.

    Raises:
        PrincipalError: It is their tenant's, and serves somebody else.
    """
    if not has_thread(configurable):
        return True
    found = access(engine, configurable, by, saver)
    return not found.is_foreign and _admitted(engine, found, by) is found


def _admitted(engine: Engine, found: Access, by: Principal) -> Access:
    if found.refused is not None:
        record_denial(engine, found.workflow_id, found.refused, by=by)
        raise found.refused
    return found


__all__ = ["enter", "is_move", "may_change", "may_look"]
