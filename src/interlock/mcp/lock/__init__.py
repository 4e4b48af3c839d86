"""The lock file: the reviewed definitions of servers' tools, and descriptions of later changes.

Nothing here connects to a server. Open `definitions.py` first.
"""
