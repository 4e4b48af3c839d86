"""Workflows served to MCP clients: the tools of a workflow, its gate at each call, and nothing that approves.

Open `workflow_server.py` first. `approval_server.py` is the approvers' own server. The parts below them know one thing each: who
calls (`identity.py`, `tokens.py`), what is listed (`catalog.py`, `schemas.py`), what a call does (`calls.py`), tasks, resources,
prompts, limits, and the transports (`http.py`, `stdio.py`).
"""

from ..sdk import require_sdk

require_sdk()  # fails with an install hint, because nothing here can be imported without the SDK
