"""A model that says how many tokens each call used, and a desk that it works at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field

from interlock import Budget, Price, Principal, Workflow, WorkflowGraph, WorkflowStore, command

ANN = Principal("ann")
BOB = Principal("bob")
BOSS = Principal("mia", roles={"controller"})
SAID = {"messages": [("user", "Hello")]}


class MeteredModel(BaseChatModel):
    """Answers with a text, and says what it used."""

    used: list[int] = Field(default_factory=list)
    """Of each call in turn; the last one of all that follow."""
    calls: int = 0
    goes_on: bool = False
    """Whether it calls a tool that is not there, so that it is asked again."""
    meanwhile: Callable[[], Any] | None = None

    @property
    def _llm_type(self) -> str:
        return "metered"

    def bind_tools(self, tools: Sequence[Any], **_options: Any) -> Any:
        del tools
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_options: Any,
    ) -> ChatResult:
        del messages, stop, run_manager
        tokens = self.used[min(self.calls, len(self.used) - 1)]
        self.calls += 1
        if self.meanwhile is not None:
            self.meanwhile()
        usage: Any = {"input_tokens": tokens - 1, "output_tokens": 1, "total_tokens": tokens}
        message = AIMessage(
            "Hello.",
            usage_metadata=usage,
            response_metadata={"model_name": "metered-1"},
            tool_calls=[{"name": "nothing", "args": {}, "id": f"c-{self.calls}"}] if self.goes_on else [],
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


PRICES = {"metered-1": Price(input="2", output="10")}


def desk(model: Any, *budgets: Budget, **options: Any) -> Workflow:
    flow: Workflow = Workflow("desk", model=model, **options)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    return flow.budgets(*budgets, prices=PRICES)


def compiled(
    store: WorkflowStore, model: Any, *budgets: Budget, saver: BaseCheckpointSaver[Any] | None = None, **options: Any
) -> WorkflowGraph:
    return desk(model, *budgets, **options).compile(saver or InMemorySaver(), workflow_store=store)


def on(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def stopped(output: Any) -> str | None:
    """Why a run stopped at a limit; None where it did not."""
    interrupts = output.get("__interrupt__", ())
    return None if not interrupts else f"{interrupts[0].value['code']}: {interrupts[0].value['reason']}"
