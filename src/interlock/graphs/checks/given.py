"""What a builder method refuses at once: tools that are no contracts, and settings that no model would use."""

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool

from ...rules.policies import Mode
from ...tools.contracts import ToolContract
from ...tools.contracts.yes_or_no import why_no_rule
from ...tools.errors import WorkflowDefinitionError


def check_settings(
    name: str, settings: Mapping[str, Any] | None, tools: tuple[Mapping[str, Any], ...], *, asks: bool
) -> None:
    """Refuse settings and provider-side tools of a state that has no model to use them.

    Raises:
        WorkflowDefinitionError: It has none, or they are not what they should be.
    """
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
    """Refuse a check of speech that could not be asked.

    Raises:
        WorkflowDefinitionError: It is no plain function, or says that it returns something else than its answers.
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


def check_contract(tool: object, place: str) -> None:
    """Refuse what is no contract, with how to make one of it.

    Raises:
        WorkflowDefinitionError: It is something else.
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
