"""Detects annotations with which LangChain and LangGraph inject values. In a contract's function the model would have to supply them."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

_PACKAGES = ("langchain_core.", "langchain.", "langchain_classic.", "langgraph.", "langgraph_api.")
_ADVICE = {
    "InjectedToolCallId": "take ctx: ToolContext, and use ctx.idempotency_key, which is the same at each attempt of the call",
    "InjectedState": "take ctx: ToolContext, and use ctx.data and ctx.state; the conversation is not a tool's business",
    "InjectedStore": "call langgraph.config.get_store() in the body",
    "BaseStore": "call langgraph.config.get_store() in the body",
    "InjectedToolArg": "take ctx: ToolContext, and use ctx.principal, ctx.tenant or ctx.data; what is the same for all calls comes from a closure",
    "_DirectlyInjectedToolArg": "take ctx: ToolContext; in the body langgraph.config has get_config(), get_store() and get_stream_writer()",
    "Runtime": "take ctx: ToolContext; in the body langgraph.config has get_config(), get_store() and get_stream_writer()",
    "RunnableConfig": "call langgraph.config.get_config() in the body",
    "BaseCallbackManager": "leave it out: callbacks reach the code in the body automatically",
    "RunManagerMixin": "leave it out: callbacks reach the code in the body automatically",
    "BaseCallbackHandler": "leave it out: callbacks reach the code in the body automatically",
}


def injected(annotation: Any) -> tuple[str, str] | None:
    """Describe what an annotation injects and the alternative; None if it injects nothing."""
    for part in _parts(annotation):
        kind = part if isinstance(part, type) else type(part)
        for base in kind.__mro__:
            if base.__name__ in _ADVICE and f"{base.__module__}.".startswith(_PACKAGES):
                return kind.__name__, _ADVICE[base.__name__]
    return None


def routes(annotation: Any) -> str | None:
    """Name LangGraph's way of routing that a tool would return, where its edges route it here; None where it returns none."""
    for part in _parts(annotation):
        if isinstance(part, type) and part.__name__ in {"Command", "Send"} and part.__module__.startswith("langgraph."):
            return part.__name__
    return None


def _parts(annotation: Any) -> Iterator[Any]:
    yield get_origin(annotation) or annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _parts(part)
