"""The official SDK, which is installed with an extra."""

import importlib
from types import ModuleType

from ..tools.errors import InterlockError


def require_sdk(name: str = "mcp") -> ModuleType:
    """Import a module of the SDK on first use, because the import takes seconds.

    Args:
        name: The module, such as ``mcp.client.stdio``.

    Returns:
        The module.

    Raises:
        InterlockError: The SDK is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InterlockError(
            f"MCP takes the official SDK: the module {error.name!r} is not installed. Nothing was started. "
            "Install langgraph-interlock[mcp].",
            code="mcp_not_installed",
        ) from error


__all__ = ["require_sdk"]
