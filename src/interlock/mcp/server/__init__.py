"""Workflows served to MCP clients: their tools, with the gate at each call, and without tools that approve.

Open `workflow_server.py` first. `approval_server.py` is a separate server for approvers. Each other module has one topic: the caller
(`identity.py`, `tokens.py`), the listing (`catalog.py`, `schemas.py`), calls (`calls.py`), tasks, resources, prompts, limits, and the
transports (`hosting.py`).
"""

from ..sdk import require_sdk

require_sdk()  # fails with an install hint, because nothing here can be imported without the SDK
