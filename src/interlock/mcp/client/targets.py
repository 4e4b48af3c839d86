"""The target of an MCP server: a command that starts one, or a URL. Credentials come from the environment or a callable."""

import inspect
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ...tools.canonical import JsonObject
from ...tools.errors import ContractError, ServerUnavailable
from ...tools.redaction import MASK, Secrets, is_secret, redact
from ...tools.storable import type_name

Credential: TypeAlias = str | Callable[[], Any]
"""A value, or a function without arguments that returns it on demand; it may be async."""

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class FromEnvironment:
    """A credential that is read from an environment variable of this process on each use."""

    def __init__(self, variable: str, form: str = "{}") -> None:
        """Set the variable.

        Args:
            variable: Its name.
            form: A format for the value, such as ``Bearer {}``.
        """
        self.variable = variable
        self.form = form

    def __call__(self) -> str:
        """Return the value.

        Raises:
            ServerUnavailable: The variable is not set.
        """
        value = os.environ.get(self.variable)
        if not value:
            raise ServerUnavailable(
                f"The environment variable {self.variable} is not set, and the server needs it. Nothing was sent. Set it and try again.",
                code="missing_credential",
            )
        return self.form.format(value)

    def __repr__(self) -> str:
        return f"from_environment({self.variable!r})"


def from_environment(variable: str, form: str = "{}") -> FromEnvironment:
    """Read a credential from an environment variable, on each use.

    Args:
        variable: Its name.
        form: A format for the value, such as ``Bearer {}``.

    Returns:
        A value for ``env=`` and ``headers=`` of `MCPTools`.
    """
    return FromEnvironment(variable, form)


async def resolved(name: str, credential: Credential, secrets: Secrets) -> str:
    """Return the value of a variable or header.

    Args:
        name: The name of the variable or header.
        credential: A value or a function.
        secrets: Receives the value if it is secret: if a function returned it, or its name suggests a credential.

    Raises:
        ServerUnavailable: The value cannot be determined. The message does not quote it.
    """
    if isinstance(credential, str):
        if _names_secret(name):
            secrets.learn([credential, credential.rpartition(" ")[2]])
        return credential
    try:
        value = credential()
        if inspect.isawaitable(value):
            value = await value
    except ServerUnavailable:
        raise
    except Exception as error:
        raise ServerUnavailable(
            f"The function that gives a credential failed ({type_name(error)}). Nothing was sent. Fix it and try again.",
            code="missing_credential",
        ) from None  # the text of the error may quote the credential
    if not isinstance(value, str):
        raise ServerUnavailable(
            f"The function that gives a credential gave a {type(value).__name__}. Nothing was sent. It has to give a text.",
            code="missing_credential",
        )
    secrets.learn([value, value.rpartition(" ")[2]])  # also learn the token without its scheme
    return value


@dataclass(frozen=True)
class CommandTarget:
    """A server that is started as a process, with MCP over its standard input and output."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, Credential] = field(default_factory=dict, repr=False)
    cwd: str | None = None

    def to_json(self) -> JsonObject:
        """Convert it to its form in the lock file: without environment values and credentials."""
        return {"command": self.command, "args": [*_masked(self.args)], "env": _sources(self.env)}


@dataclass(frozen=True)
class UrlTarget:
    """A server that is reached over HTTP."""

    url: str
    headers: Mapping[str, Credential] = field(default_factory=dict, repr=False)
    auth: Any = field(default=None, repr=False)
    """An `Auth` of httpx2, such as the SDK's OAuth providers."""

    def to_json(self) -> JsonObject:
        """Convert it to its form in the lock file."""
        return {"url": self.url, "headers": _sources(self.headers)}


Target: TypeAlias = CommandTarget | UrlTarget


def target_of(
    server: str,
    target: str | Sequence[str],
    *,
    env: Mapping[str, Credential] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, Credential] | None = None,
    auth: Any = None,
) -> Target:
    """Parse the target of a server.

    Args:
        server: The name of the server, for errors.
        target: A URL; or a command, as one text or as a list of words.
        env: Environment variables for the process of a command.
        cwd: The working directory of a command.
        headers: Headers of each request to a URL.
        auth: An `Auth` of httpx2 for a URL.

    Raises:
        ContractError: The target is invalid, or contains a credential where it would be shown.
    """
    if isinstance(target, str) and re.match(r"https?://", target, re.IGNORECASE):
        if env or cwd:
            raise ContractError(
                f"the MCP server {server!r} is a URL, and env= and cwd= are for commands; leave them out"
            )
        return UrlTarget(_checked(server, target), dict(headers or {}), auth)
    if headers or auth is not None:
        raise ContractError(f"the MCP server {server!r} is a command, and headers= and auth= are for URLs; take env=")
    words = shlex.split(target) if isinstance(target, str) else [*target]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0].strip():
        raise ContractError(
            f"the MCP server {server!r} has the target {target!r}; give a URL, or a command and its arguments"
        )
    return CommandTarget(words[0], tuple(words[1:]), dict(env or {}), None if cwd is None else str(cwd))


def target_from_json(server: str, data: Mapping[str, Any]) -> Target:
    """Parse a target from the lock file; its credentials come from the environment.

    Args:
        server: The name of the server.
        data: The target in the lock file.

    Raises:
        ContractError: It is incomplete, because its credentials do not come from the environment.
    """
    sources = data.get("headers") or data.get("env") or {}
    lost = sorted(name for name, source in sources.items() if not isinstance(source, dict) or "variable" not in source)
    if lost or MASK in str(data.get("args")):
        raise ContractError(
            f"the MCP server {server!r} takes credentials that the lock file does not have ({', '.join(lost) or 'in its arguments'}); "
            "name your MCPTools with --tools module:name"
        )
    given = {name: FromEnvironment(source["variable"], source["form"]) for name, source in sources.items()}
    if "url" in data:
        return target_of(server, data["url"], headers=given)
    return target_of(server, [data["command"], *data["args"]], env=given)


def _names_secret(name: str) -> bool:
    """Whether the name of a variable, header, option or parameter suggests a credential."""
    return is_secret(name) or re.search(r"(?i)(?:^|[^a-z])(?:tokens?|key|auth)(?:$|[^a-z])", name) is not None


def _checked(server: str, url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ContractError(f"the URL of the MCP server {server!r} is none ({error})") from None
    if parts.username or parts.password:
        raise ContractError(
            f"the URL of the MCP server {server!r} has credentials in it, and URLs are logged; take headers= or auth="
        )
    if named := sorted(name for name, _ in parse_qsl(parts.query) if _names_secret(name)):
        raise ContractError(
            f"the URL of the MCP server {server!r} has {', '.join(named)} in it, and URLs are logged; take headers= or auth="
        )
    return urlunsplit(parts)


def _sources(given: Mapping[str, Credential]) -> JsonObject:
    """The sources of credentials, for reviews, without the credentials."""
    found: JsonObject = {}
    for name, credential in sorted(given.items()):
        if isinstance(credential, FromEnvironment):
            found[name] = {"variable": credential.variable, "form": credential.form}
        else:
            found[name] = "a value" if isinstance(credential, str) else "a function"
    return found


def _masked(args: Sequence[str]) -> list[str]:
    """Mask passwords in URLs, and the values of options with secret names, in arguments."""
    found: list[str] = []
    hidden = False
    for arg in args:
        name, equals, _ = arg.partition("=")
        if hidden and not arg.startswith("-"):
            found.append(MASK)
            hidden = False
            continue
        secret = arg.startswith("-") and _names_secret(name)
        hidden = secret and not equals
        shown = f"{name}={MASK}" if secret and equals else arg
        found.append(str(redact(_USER_INFO.sub(MASK, shown))))
    return found


__all__ = [
    "CommandTarget",
    "Credential",
    "FromEnvironment",
    "Target",
    "UrlTarget",
    "from_environment",
    "resolved",
    "target_from_json",
    "target_of",
]
