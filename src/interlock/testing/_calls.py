"""A tool call in a script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall

from ..tools.contracts import ToolContract
from ..tools.wire import wire_name


@dataclass(frozen=True)
class Call:
    """One tool call, exactly as the model sends it: nothing in it is translated or fixed.

    Usually you write `call(...)`. Write `Call` itself to send a name that no provider would accept.
    """

    name: str
    """The name as sent."""

    arguments: Mapping[str, Any] | str
    """The arguments as sent: a mapping of JSON values, or the raw text, which need not be JSON at all.

    Truncated text is an invalid call in a whole answer. In a streamed answer, LangChain completes it (`{"caseId": "7` arrives as
    `{"caseId": "7"}`), as it does for every provider's model.
    """

    id: str | None = None
    """The ID of the call; None to generate one. It may be empty, or equal to that of another call."""

    def with_id(self, id: str) -> Call:  # noqa: A002 - the protocol's own word
        """The same call under this id."""
        return replace(self, id=id)

    @property
    def text(self) -> str:
        """Return the arguments as the text that is sent."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(dict(self.arguments), ensure_ascii=False)

    def to_tool_call(self, id: str) -> ToolCall | InvalidToolCall:  # noqa: A002
        """Return the call as LangChain passes it on: an invalid call if the text of the arguments is not a JSON object."""
        if not isinstance(self.arguments, str):
            return ToolCall(name=self.name, args=dict(self.arguments), id=id, type="tool_call")
        try:
            parsed = json.loads(self.arguments)
        except ValueError as error:
            problem = f"the arguments are not JSON: {error}"
        else:
            if isinstance(parsed, dict):
                return ToolCall(name=self.name, args=parsed, id=id, type="tool_call")
            problem = "the arguments are not a JSON object"
        return InvalidToolCall(name=self.name, args=self.arguments, id=id, error=problem, type="invalid_tool_call")


def call(name: str, arguments: Mapping[str, Any] | str | None = None, /, **more: Any) -> Call:
    """A tool call for a script: `call("case.assign", caseId="77", queueId="billing")`.

    Args:
        name: The tool's name. A canonical name is sent as its wire name (dots become underscores), as providers require.
        arguments: The arguments as a mapping; or raw text, to send malformed arguments.
        more: The arguments as keywords, sent under exactly these names.

    Returns:
        The call. Its ID is generated when it is sent; see `Call.with_id`.

    Raises:
        TypeError: Raw text and keywords were both given, or a tool in place of its name.
    """
    given: object = name
    if not isinstance(given, str):
        told = f"; give {given.name!r}" if isinstance(given, ToolContract) else ""
        raise TypeError(f"call() takes the name of a tool, and was given a {type(given).__name__}{told}")
    if isinstance(arguments, str):
        if more:
            raise TypeError("arguments given as raw text cannot be joined with keywords; give one or the other")
        return Call(wire_name(name), arguments)
    return Call(wire_name(name), {**(arguments or {}), **more})
