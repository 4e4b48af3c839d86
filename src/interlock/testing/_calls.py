"""A tool call as a script writes it down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall

from ..tools.wire import wire_name


@dataclass(frozen=True)
class Call:
    """One tool call, exactly as the model sends it: nothing in it is translated or fixed.

    `call` is the comfortable way to write one; write `Call` itself to send a name that no provider would let pass.
    """

    name: str
    """The name as sent."""

    arguments: Mapping[str, Any] | str
    """The arguments as sent: a mapping of JSON values, or the raw text, which need not be JSON at all.

    Text that merely breaks off is an invalid call when the answer comes whole, and is completed by LangChain when it is
    streamed (`{"caseId": "7` arrives as `{"caseId": "7"}`); that is so with every provider's model.
    """

    id: str | None = None
    """The id of the call; None lets the model mint a fresh one. It may be empty, or the same as another's."""

    def with_id(self, id: str) -> Call:  # noqa: A002 - the protocol's own word
        """The same call under this id."""
        return replace(self, id=id)

    @property
    def text(self) -> str:
        """The arguments as the text that travels."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(dict(self.arguments), ensure_ascii=False)

    def to_tool_call(self, id: str) -> ToolCall | InvalidToolCall:  # noqa: A002
        """The call as LangChain hands it on: an invalid one when the text of the arguments is not a JSON object."""
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
        name: The tool's name. A canonical name is sent as its wire name (dots become underscores): providers demand it.
        arguments: The arguments, where keywords do not do; or their raw text, to send malformed ones.
        more: Arguments by keyword, sent under exactly these names.

    Returns:
        The call, with an id that is minted when it is sent; see `Call.with_id`.

    Raises:
        TypeError: Raw text and keywords at once.
    """
    if isinstance(arguments, str):
        if more:
            raise TypeError("arguments given as raw text cannot be joined with keywords; give one or the other")
        return Call(wire_name(name), arguments)
    return Call(wire_name(name), {**(arguments or {}), **more})
