"""Binds a chat model to tools, and keeps everything that the application bound to it before."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import RunnableConfigurableAlternatives, RunnableConfigurableFields

from ..tools.errors import RunError, WorkflowDefinitionError

_ABOUT_TOOLS = frozenset({"tool_choice", "parallel_tool_calls", "strict"})
"""Options that providers refuse in a request without tools."""
_MODES = frozenset({"auto", "none", "any", "required", "validated"})
"""Values of `tool_choice` that name no tool."""


def with_tools(
    model: Any, tools: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], names: Mapping[str, str]
) -> Runnable[Any, Any]:
    """The model with these tools, and with everything that was bound to it: options, retries, fallbacks, tags.

    `bind_tools` of a bound model is that of the inner model, and drops the binding.

    Args:
        model: A chat model, or one inside `bind`, `with_config`, `with_retry`, `with_fallbacks` or `configurable_alternatives`.
        tools: In OpenAI's form, or a provider's own.
        settings: The options of this request, which override those that were bound.
        names: The canonical names of the offered tools, mapped to the names for the model.
    """
    if isinstance(model, RunnableBindingBase):
        inner = with_tools(model.bound, tools, settings, names)
        bound = {key: value for key, value in model.kwargs.items() if key not in settings}
        return model.model_copy(update={"bound": inner, "kwargs": _usable(bound, tools, names)})
    if isinstance(model, RunnableWithFallbacks):
        fallbacks = [with_tools(other, tools, settings, names) for other in model.fallbacks]
        return model.model_copy(
            update={"runnable": with_tools(model.runnable, tools, settings, names), "fallbacks": fallbacks}
        )
    if isinstance(model, RunnableConfigurableAlternatives):
        others = {
            key: with_tools(other if isinstance(other, Runnable) else other(), tools, settings, names)
            for key, other in model.alternatives.items()
        }
        return model.model_copy(
            update={"default": with_tools(model.default, tools, settings, names), "alternatives": others}
        )
    options = _usable(settings, tools, names)
    # Without tools none are bound: some providers refuse an empty list.
    if tools:
        try:
            offered: Runnable[Any, Any] = model.bind_tools([*tools], **options)
        except NotImplementedError as error:
            raise RunError(
                f"The model {type(model).__name__} cannot be given tools: it does not implement bind_tools. Nothing was done; use a chat model "
                "that can call tools.",
                code="model_error",
            ) from error
        return straight(offered)
    plain: Runnable[Any, Any] = model.bind(**options) if options else model
    return plain


class StraightBinding(RunnableBinding[Any, Any]):  # type: ignore[no-redef]  # the plugin knows a field `kwargs`
    """A binding that has options and no config of its own: the config of a call goes to the model as it is.

    LangChain merges it with nothing twice, which costs more than all else around a model.
    """

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Invoke the model with what is bound to it."""
        return self.bound.invoke(input, config, **{**self.kwargs, **kwargs})

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """As `invoke`."""
        return await self.bound.ainvoke(input, config, **{**self.kwargs, **kwargs})


def straight(bound: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The same binding with nothing in the way, where it is called as LangChain's own is, and binds options alone.

    The class is not compared: a chat model's `bind` returns a subclass, which differs in its types only.
    """
    if not isinstance(bound, RunnableBinding) or not _calls_as_langchain_does(type(bound)):
        return bound
    if bound.config or bound.config_factories:
        return bound
    if bound.custom_input_type is not None or bound.custom_output_type is not None:
        return bound
    return StraightBinding(bound=bound.bound, kwargs=dict(bound.kwargs), config={})


def _calls_as_langchain_does(binding: type[RunnableBinding[Any, Any]]) -> bool:
    """Whether a class of bindings leaves it to LangChain how the bound model is invoked."""
    return all(
        getattr(binding, name) is getattr(RunnableBinding, name) for name in ("invoke", "ainvoke", "_merge_configs")
    )


def _usable(options: Mapping[str, Any], tools: Sequence[Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The options that fit what is offered in this state."""
    kept = {key: value for key, value in options.items() if key != "tools" and (tools or key not in _ABOUT_TOOLS)}
    if "tool_choice" in kept:
        choice = kept["tool_choice"]
        if isinstance(choice, str):
            choice = kept["tool_choice"] = names.get(choice, choice)
        named = _tool_of(choice)
        if named is not None and named not in {_name(tool) for tool in tools}:
            del kept["tool_choice"]  # nothing can be made to call a tool that is not on offer here
    return kept


def _tool_of(choice: Any) -> str | None:
    if isinstance(choice, str):
        return None if choice.lower() in _MODES else choice
    if isinstance(choice, Mapping):
        function = choice.get("function")
        named = choice.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
        return None if named is None else str(named)
    return None


def _name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    return str((function if isinstance(function, Mapping) else tool).get("name") or tool.get("type"))


def check_model(model: object, place: str) -> None:
    """Refuse what cannot be bound to the tools of a state.

    Raises:
        WorkflowDefinitionError: It takes no tools, is bound to tools already, or would lose what was bound to it.
    """
    if model is None or isinstance(model, str):
        return
    start = f"{place[0].upper()}{place[1:]} is given"
    if isinstance(model, type):
        raise WorkflowDefinitionError(
            f"{start} the class {model.__name__} as its model; give an object of it: {model.__name__}(...)."
        )
    for one in _parts(model):
        if isinstance(one, RunnableBindingBase):
            if one.kwargs.get("tools"):
                raise WorkflowDefinitionError(
                    f"{start} a model that is bound to tools already. Give the model without them: the tools of a state are those on its edges, and "
                    "provider_tools=[...] of add_state takes a provider's own."
                )
        elif isinstance(one, RunnableConfigurableFields):
            if isinstance(one.default, RunnableBindingBase):
                raise WorkflowDefinitionError(
                    f"{start} a model with configurable fields outside of what is bound to it, which would be lost. Bind last: "
                    "model.configurable_fields(...).bind(...)."
                )
        elif not callable(getattr(one, "bind_tools", None)):
            raise WorkflowDefinitionError(
                f"{start} an object of the type {type(one).__name__} as its model, which takes no tools. Give a LangChain chat model, or the "
                "name of one such as 'openai:gpt-5'; for a function that proposes there is decide=, and for a graph node=."
            )


def _parts(model: Any) -> list[Any]:
    """A model, and what it is wrapped around."""
    if isinstance(model, RunnableBindingBase):
        return [model, *_parts(model.bound)]
    if isinstance(model, RunnableWithFallbacks):
        return [part for one in (model.runnable, *model.fallbacks) for part in _parts(one)]
    if isinstance(model, RunnableConfigurableAlternatives):
        given = [one for one in model.alternatives.values() if isinstance(one, Runnable)]
        return [part for one in (model.default, *given) for part in _parts(one)]
    return [model]


__all__ = ["check_model", "with_tools"]
