"""Contracts as LangChain tools."""

from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArguments, Refused

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

    from ..contracts.contract import ToolContract


def as_tool(contract: "ToolContract") -> "StructuredTool":
    """Make a plain LangChain tool from a contract: the same name for the model, description, schema and function.

    Such a tool only validates its arguments with the contract and calls its function: without gate, approval or record. A
    workflow, or its middleware in an agent, adds those. Invalid arguments and refusals are errors of the tool
    (`ToolException`, handled), so that an agent's model sees them and can fix the call.

    Raises:
        ContextError: At the call, if the function takes a `ToolContext`, which only a workflow can supply.
    """
    from langchain_core.tools import ToolException  # noqa: PLC0415 -- heavy, and not everybody's

    def run(arguments: Any) -> Any:
        try:
            return contract.dump_output(contract.call(contract.parse(arguments)))
        except (InvalidArguments, Refused) as error:
            raise ToolException(error.message) from error

    async def arun(arguments: Any) -> Any:
        try:
            return contract.dump_output(await contract.acall(contract.parse(arguments)))
        except (InvalidArguments, Refused) as error:
            raise ToolException(error.message) from error

    return _tool_class()(
        name=contract.wire_name,
        description=contract.description,
        args_schema=contract.offered_schema(),
        func=None if contract.is_async else run,
        coroutine=arun if contract.runs_async else None,
        handle_tool_error=True,
        return_direct=contract.return_direct,
        metadata={"interlock": contract.name, "version": contract.version},
    )


@cache
def _tool_class() -> "type[StructuredTool]":
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 -- see above

    class ContractTool(StructuredTool):
        """Passes its arguments as one dict, so that an argument may have the name `config` or `run_manager`."""

        def _to_args_and_kwargs(
            self,
            tool_input: str | dict[str, Any],
            tool_call_id: str | None,  # noqa: ARG002 -- LangChain's
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return (tool_input,), {}

    return ContractTool
