"""The public names of `interlock.mcp`, read by type checkers and by the lazy loader alike."""

from .client.targets import from_environment as from_environment
from .client.tools import MCPTools as MCPTools
from .sdk import require_sdk as require_sdk
