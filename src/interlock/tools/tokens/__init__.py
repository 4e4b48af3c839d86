"""Access tokens as the HTTP service and the MCP servers verify them. Not here: which principal a token's claims name. Open `verifier.py`."""

from .verifier import ALGORITHMS, TokenVerifier, read_keys

__all__ = ["ALGORITHMS", "TokenVerifier", "read_keys"]
