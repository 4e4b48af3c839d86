"""A workflow's tool in an agent: the model's offer, with the workflow as its body."""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.types import Command
from pydantic import Field

from ...tools.contracts import ToolContract
from ...tools.errors import RunError
from ...tools.schemas.offered.strict import strict_schema

Body = Callable[[Any], ToolMessage | Command[Any] | Awaitable[ToolMessage | Command[Any]]]


class GatedTool(StructuredTool):
    """Offers a contract's tool, and runs only through the workflow's middleware.

    The middleware sets its body for one call and passes the call on, so that guards of other middlewares run first, whatever their
    position in the agent's list.
    """

    body: Body | None = Field(default=None, exclude=True, repr=False)
    """Judges and executes one call; None outside a call."""

    @classmethod
    def of(cls, contract: ToolContract, *, strict: bool = False) -> Self:
        """Make the tool of a contract, with its schema or the strict form."""
        plain = contract.as_tool()
        fields = {name: getattr(plain, name) for name in type(plain).model_fields}

        def refused(*_: Any, **__: Any) -> Any:
            raise RunError(
                f"{plain.name} is a workflow's tool, and was called past the workflow's middleware. Nothing was done; let the agent's loop call it, "
                "so that the call is judged.",
                code="ungated_call",
            )

        async def arefused(*_: Any, **__: Any) -> Any:
            return refused()

        schema = strict_schema(contract.name, contract.offered_schema()) if strict else fields["args_schema"]
        return cls(**{**fields, "args_schema": schema, "func": refused, "coroutine": arefused})

    def with_body(self, body: Body) -> Self:
        """The same tool for one call."""
        return self.model_copy(update={"body": body})

    def invoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:  # noqa: A002
        """Execute one call."""
        return super().invoke(input, config, **more) if self.body is None else self.body(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:  # noqa: A002
        """As `invoke`."""
        if self.body is None:
            return await super().ainvoke(input, config, **more)
        done: Any = self.body(input)
        return await done if isinstance(done, Awaitable) else done


__all__ = ["GatedTool"]
