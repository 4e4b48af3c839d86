"""The application's own resources and prompts."""

import base64
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    GetPromptResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from ...tools.errors import InputError
from ...tools.principal import Principal
from .answers import block_of
from .resources import BASE

Contents = TextResourceContents | BlobResourceContents
_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class ServedResource:
    """A resource of the application that clients may read, such as its return policy."""

    uri: str
    """The URI, with the application's own scheme. `{name}` stands for one segment, as in `shop://products/{product}`, and makes it a template."""
    read: Callable[[Principal, Mapping[str, str]], str | bytes | Awaitable[str | bytes]]
    """Returns the text or the bytes, for the reader and the values of the template. With a `PrincipalError` or `InputError`, it looks to
    the client as if the resource did not exist. A synchronous function runs in its own thread."""
    name: str
    description: str | None = None
    mime_type: str = "text/plain"
    is_public: bool = False
    """Whether the content is the same for everybody, so that clients may share it in a cache."""

    @property
    def is_template(self) -> bool:
        """Whether the URI has variables."""
        return _VARIABLE.search(self.uri) is not None

    def values(self, uri: str) -> dict[str, str] | None:
        """The values of the variables in a URI of this resource; None if the URI does not match."""
        parts = _VARIABLE.split(self.uri)
        pattern = "".join(f"(?P<{one}>[^/?#]+)" if at % 2 else re.escape(one) for at, one in enumerate(parts))
        found = re.fullmatch(pattern, uri)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass(frozen=True)
class ServedPrompt:
    """A prompt of the application, which people can select in their clients."""

    name: str
    write: Callable[[Principal, Mapping[str, str]], Any]
    """Returns the prompt, for the reader and the arguments: a text, or a list of texts and content blocks in MCP's or LangChain's shapes.
    A synchronous function runs in its own thread."""
    description: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    """The required arguments: names, with a description of each."""
    optional: Mapping[str, str] = field(default_factory=dict)
    """The optional arguments: names, with a description of each."""

    def listed(self) -> Prompt:
        """The prompt in a listing."""
        known = [(self.arguments, True), (self.optional, False)]
        return Prompt(
            name=self.name,
            description=self.description,
            arguments=[
                PromptArgument(name=name, description=told, required=required)
                for names, required in known
                for name, told in names.items()
            ],
        )


class OwnResources:
    """The application's resources.

    Raises:
        InputError: Two have the same URI, a URI is under that of the workflows, or a URI has a variable twice.
    """

    def __init__(self, resources: Iterable[ServedResource]) -> None:
        self._resources = tuple(resources)
        _distinct("resource", [one.uri for one in self._resources])
        for one in self._resources:
            variables = _VARIABLE.findall(one.uri)
            if ":" not in one.uri or one.uri.startswith(f"{BASE}/") or len(set(variables)) < len(variables):
                raise InputError(
                    f"The resource {one.uri!r} cannot be served. Nothing was served; give a URI with a scheme, not under {BASE}, that names each "
                    "variable once."
                )

    def listed(self) -> list[Resource]:
        """The resources without variables."""
        return [
            Resource(uri=one.uri, name=one.name, description=one.description, mime_type=one.mime_type)
            for one in self._resources
            if not one.is_template
        ]

    def templates(self) -> list[ResourceTemplate]:
        """The resource templates."""
        return [
            ResourceTemplate(uri_template=one.uri, name=one.name, description=one.description, mime_type=one.mime_type)
            for one in self._resources
            if one.is_template
        ]

    async def read(self, uri: str, by: Principal) -> tuple[Contents, bool] | None:
        """Read one.

        Returns:
            The contents, and whether they are the same for everybody; None if no resource has this URI.
        """
        for one in self._resources:
            values = one.values(uri)
            if values is None:
                continue
            found = await _called(one.read, by, values)
            if isinstance(found, str):
                return TextResourceContents(uri=uri, mime_type=one.mime_type, text=found), one.is_public
            if isinstance(found, bytes):
                blob = base64.b64encode(found).decode()
                return BlobResourceContents(uri=uri, mime_type=one.mime_type, blob=blob), one.is_public
            raise TypeError(f"the resource {one.uri!r} was read as {type(found).__qualname__}; give a str or bytes")
        return None


class OwnPrompts:
    """The application's prompts.

    Args:
        prompts: The prompts.
        taken: The names of the workflows' prompts.

    Raises:
        InputError: Two prompts have the same name.
    """

    def __init__(self, prompts: Iterable[ServedPrompt], taken: Iterable[str]) -> None:
        given = tuple(prompts)
        _distinct("prompt", [*taken, *(one.name for one in given)])
        self._by_name = {one.name: one for one in given}

    def listed(self) -> list[Prompt]:
        """Every prompt."""
        return [one.listed() for one in self._by_name.values()]

    async def get(self, name: str, arguments: Mapping[str, str], by: Principal) -> GetPromptResult | None:
        """Write a prompt; None if the application has no prompt of this name.

        Raises:
            MCPError: An argument is missing or unknown.
        """
        prompt = self._by_name.get(name)
        if prompt is None:
            return None
        missing = sorted(prompt.arguments.keys() - arguments.keys())
        foreign = sorted(arguments.keys() - prompt.arguments.keys() - prompt.optional.keys())
        if missing or foreign:
            wrong = [f"{one!r} is missing" for one in missing] + [f"there is no argument {one!r}" for one in foreign]
            raise MCPError(INVALID_PARAMS, f"The prompt {name} cannot be written: {', '.join(wrong)[:500]}.")
        written = await _called(prompt.write, by, dict(arguments))
        return GetPromptResult(description=prompt.description, messages=[*_messages(name, written)])


async def _called(function: Callable[..., Any], by: Principal, values: Mapping[str, str]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(by, values)
    given = await anyio.to_thread.run_sync(function, by, values)
    return await given if inspect.isawaitable(given) else given


def _messages(name: str, written: Any) -> Sequence[PromptMessage]:
    parts = written if isinstance(written, list) else [written]
    blocks = [TextContent(text=one) if isinstance(one, str) else block_of(one) for one in parts]
    if None in blocks:
        raise TypeError(f"the prompt {name!r} was written as something that is neither a text nor a content block")
    return [PromptMessage(role="user", content=one) for one in blocks if one is not None]


def _distinct(what: str, names: Sequence[str]) -> None:
    if doubled := sorted({one for one in names if names.count(one) > 1}):
        raise InputError(f"Two of the {what}s are {doubled[0]!r}. Nothing was served; give each another name.")


__all__ = ["OwnPrompts", "OwnResources", "ServedPrompt", "ServedResource"]
