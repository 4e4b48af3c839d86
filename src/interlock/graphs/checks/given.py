"""The checks that a builder method makes at once: tools that are no contracts, and settings without a model that uses them."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel

from ...checkpointing.store import WorkflowStore
from ...rules.definition import Limits
from ...rules.policies import Mode, Policy
from ...tools.contracts import ToolContract
from ...tools.contracts.yes_or_no import takes_one, why_no_rule
from ...tools.errors import WorkflowDefinitionError
from ...tools.events import Event
from .kept_in import check_kept_in


def check_settings(
    name: str, settings: Mapping[str, Any] | None, tools: tuple[Mapping[str, Any], ...], *, asks: bool
) -> None:
    """Refuse settings and provider-side tools of a state that has no model to use them.

    Raises:
        WorkflowDefinitionError: The state has no model, or the settings or tools are invalid.
    """
    given: object = settings
    if given is not None and not isinstance(given, Mapping):
        raise WorkflowDefinitionError(
            f"The state {name!r} has model_settings={given!r}; give a mapping, such as model_settings={{'temperature': 0}}."
        )
    if (settings or tools) and not asks:
        raise WorkflowDefinitionError(
            f"The state {name!r} is given {'model_settings' if settings else 'provider_tools'} and has no model to use them; give it a model, or leave them out."
        )
    if settings and "tools" in settings:
        raise WorkflowDefinitionError(
            f"The state {name!r} has tools in its model_settings. The edges determine its tools; use provider_tools=[...] for a provider's own tools."
        )
    for tool in tools:
        if not isinstance(tool, Mapping) or tool.get("type") in {None, "function", "custom"} or "function" in tool:
            raise WorkflowDefinitionError(
                f"The state {name!r} is given {tool!r} among its provider_tools. Those are tools that the provider runs, such as "
                '{"type": "web_search"}; make a contract of a tool that this application runs, and give it in tools= or on an edge.'
            )


def check_speech(speech: object, place: str) -> None:
    """Refuse a check of speech that cannot be called.

    Raises:
        WorkflowDefinitionError: It is not a plain function, or its annotation promises another result.
    """
    if speech is None:
        return
    problem = why_no_rule(speech, answers=(bool, str))
    if problem is not None:
        raise WorkflowDefinitionError(
            f"{place[0].upper()}{place[1:]} has speech={speech!r}, which {problem}. Give a function of the words and the view that returns True to "
            "let them pass, a text to replace them, or False to stop them."
        )


def mode_of(mode: object, name: str) -> Mode:
    """Read a workflow's mode.

    Raises:
        WorkflowDefinitionError: There is no such mode.
    """
    try:
        return Mode(mode)  # type: ignore[arg-type]  # whatever it is
    except ValueError:
        raise WorkflowDefinitionError(
            f"The workflow {name!r} has the mode {mode!r}; it is one of {', '.join(one.value for one in Mode)}."
        ) from None


def mapping_of(states: object, name: str) -> dict[str, str]:
    """Read a workflow's state mapping.

    Raises:
        WorkflowDefinitionError: It is something else.
    """
    if states is not None and not isinstance(states, Mapping):
        raise WorkflowDefinitionError(
            f"The workflow {name!r} has state_mapping={states!r}; give a mapping of old to new states, such as {{'old': 'new'}}."
        )
    return dict(states or {})


def store_of(store: object, name: str) -> WorkflowStore:
    """Read the workflow store of a middleware; without one, this process's memory.

    Raises:
        WorkflowDefinitionError: It is something else.
    """
    check_kept_in(name, None, store)
    return store if isinstance(store, WorkflowStore) else WorkflowStore.in_memory()


def check_version(version: object, name: str) -> None:
    """Refuse a version that is not a positive integer.

    Raises:
        WorkflowDefinitionError: It is not a positive integer.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise WorkflowDefinitionError(f"The workflow {name!r} has the version {version!r}; give a whole number from 1.")


def check_data(data: object, name: str) -> None:
    """Refuse data where its class is expected.

    Raises:
        WorkflowDefinitionError: It is not a class of a pydantic model.
    """
    if data is not None and not (isinstance(data, type) and issubclass(data, BaseModel)):
        raise WorkflowDefinitionError(
            f"The workflow {name!r} is given data={data!r}; give the class of its data, a pydantic model, such as data=CaseData. What an "
            'instance starts with is given with its first input: {"messages": [...], "data": {...}}.'
        )


def check_prompt(prompt: object, place: str) -> None:
    """Refuse a prompt that cannot be given to a model.

    Raises:
        WorkflowDefinitionError: It is neither a text nor a function of the view.
    """
    if prompt is None or isinstance(prompt, str) or (callable(prompt) and takes_one(prompt)):
        return
    given = (
        "a function that cannot be called with the view alone"
        if callable(prompt)
        else f"of the type {type(prompt).__name__}"
    )
    raise WorkflowDefinitionError(
        f"The prompt of {place} is {given}. Give a text, or a function of the view (state, data, principal) that returns one."
    )


def policies_of(policies: object, name: str) -> tuple[Policy, ...]:
    """Read a workflow's policies.

    Raises:
        WorkflowDefinitionError: They are not a list.
    """
    if isinstance(policies, Policy) or not isinstance(policies, Iterable):
        given = policies.label if isinstance(policies, Policy) else repr(policies)
        raise WorkflowDefinitionError(
            f"The workflow {name!r} is given {given} alone as its policies; give a list: policies=[...]."
        )
    return tuple(policies)


def limits_of(limits: object, name: str) -> Limits:
    """Read a workflow's limits.

    Raises:
        WorkflowDefinitionError: They are something else.
    """
    if limits is not None and not isinstance(limits, Limits):
        raise WorkflowDefinitionError(
            f"The workflow {name!r} has limits={limits!r}; give Limits(...), such as limits=Limits(calls=20)."
        )
    return limits or Limits()


def events_of(events: object, name: str, what: str) -> tuple[type[Event], ...]:
    """Read the events of a wait: one class, or several.

    Raises:
        WorkflowDefinitionError: One of them is not a class of events.
    """
    found = (events,) if isinstance(events, type | str | Event) or not isinstance(events, Iterable) else tuple(events)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, Event)):
            raise WorkflowDefinitionError(
                f'The wait {name!r} has {what}={one!r}; give the class of the event: class CaseAssigned(Event, name="case.assigned", version=1).'
            )
    return found


def tools_of(tools: object, state: str) -> tuple[ToolContract, ...]:
    """Read the tools of a state.

    Raises:
        WorkflowDefinitionError: They are not a list of contracts.
    """
    if isinstance(tools, ToolContract | str | BaseTool) or not isinstance(tools, Iterable):
        shown = tools.name if isinstance(tools, ToolContract | BaseTool) else tools
        raise WorkflowDefinitionError(
            f"The state {state!r} is given {shown} alone as its tools; give a list: tools=[...]."
        )
    found = tuple(tools)
    for tool in found:
        check_contract(tool, f"the state {state!r}")
    return found


def check_contract(tool: object, place: str) -> None:
    """Refuse anything but a contract, and say how to make one from it.

    Raises:
        WorkflowDefinitionError: It is not a contract.
    """
    if isinstance(tool, ToolContract):
        return
    start = f"{place[0].upper()}{place[1:]} is given"
    if isinstance(tool, BaseTool):
        raise WorkflowDefinitionError(
            f"{start} the LangChain tool {tool.name!r}. Make a contract of it, which says what kind it is: "
            f'interlock.tools.langchain.contract_from_tool({tool.name}, kind="read").'
        )
    if callable(tool) and not isinstance(tool, type):
        raise WorkflowDefinitionError(
            f'{start} the function {getattr(tool, "__name__", tool)!r} as a tool. Make a contract of it: decorate it with @read("some.name"), '
            "@command(...) or @event(...)."
        )
    raise WorkflowDefinitionError(
        f"{start} {tool!r} as a tool. Give a contract: a function decorated with @read, @command or @event. An edge is "
        "add_edge(source, tool, target)."
    )
