"""Access tokens as the HTTP service and the MCP servers verify them (`verifier.py`), and the principals that their claims name (`claims.py`)."""

from .claims import PrincipalClaims
from .verifier import ALGORITHMS, TokenVerifier, read_keys

__all__ = ["ALGORITHMS", "PrincipalClaims", "TokenVerifier", "read_keys"]
