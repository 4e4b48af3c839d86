"""The public names of `interlock.mcp`, read by type checkers and by the lazy loader alike."""

from .sdk import require_sdk as require_sdk
