"""Access checks at the entrance of a compiled workflow, before LangGraph reads or writes anything of the thread."""

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
    """Admit a run, or refuse it; a refusal within the tenant is recorded.

    Answers are admitted from everybody in the tenant; the rule of the request decides whether an answer counts. Inside another graph,
    a run without new input belongs to that graph, and its application has to protect it.

    Args:
        engine: The workflow.
        saver: Its checkpointer.
        configurable: The `configurable` of the run.
        by: The principal of the run.
        given: The input, a command, or None.
        by_application: Whether no principal was named, so that the application itself resumes the thread.

    Raises:
        RunError: The instance or its thread belongs to another tenant; or there is nothing to resume.
        PrincipalError: The workflow serves somebody else.
        StoreHeld: A backup was restored, and nobody has confirmed yet that work may continue.
    """
    engine.store.refuse_held()
    if not has_thread(configurable):
        return Access("", None)  # code that needs the thread reports that it is missing
    found = access(engine, configurable, by, saver)
    if is_nested(configurable):
        if found.is_foreign:
            raise unknown_instance(found.workflow_id, by)
        resumes = given is None or isinstance(given, Command) or is_resumed_by_parent(configurable)
        return found if resumes else _admitted(engine, found, by)
    if isinstance(given, Command) and is_move(given):
        return found  # the move is refused for every principal
    is_free = found.instance is None and found.refused is None
    if isinstance(given, Command) and given.resume is not None and (given.update is None or is_free):
        return found  # the caller learns what waits, which is nothing if the thread is not theirs
    resumes = given is None or isinstance(given, Command)
    if found.is_foreign or (resumes and found.instance is None and not found.is_begun):
        raise unknown_instance(found.workflow_id, by)
    # Without an instance, the run would create one that serves nobody, with input of a particular principal.
    is_applications = given is None and by_application and found.instance is not None
    return found if is_applications else _admitted(engine, found, by)


def is_move(command: Command[Any]) -> bool:
    """Whether a command would move the graph, or write to a channel other than the messages."""
    update = command.update
    return bool(command.goto) or not (update is None or (isinstance(update, Mapping) and update.keys() <= {"messages"}))


def may_change(engine: Engine, saver: Saved | None, configurable: Mapping[str, Any], by: Principal) -> None:
    """Check that a principal may change the conversation of an instance.

    A thread without an instance belongs to nobody yet: a message written to it would appear in the conversation of whoever starts there.

    Raises:
        RunError: There is no instance, or it or its thread belongs to another tenant.
        PrincipalError: The workflow serves somebody else.
        StoreHeld: As for `enter`.
    """
    engine.store.refuse_held()
    if not has_thread(configurable):
        return  # LangGraph reports that the thread is missing
    found = access(engine, configurable, by, saver)
    if found.is_foreign or (found.instance is None and found.refused is None):
        raise unknown_instance(found.workflow_id, by)
    _admitted(engine, found, by)


def may_look(engine: Engine, saver: Saved | None, configurable: Mapping[str, Any], by: Principal) -> bool:
    """Whether a principal may read the content of a thread; for another tenant, the thread appears to be empty.

    Raises:
        PrincipalError: The thread belongs to their tenant, and serves somebody else.
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
