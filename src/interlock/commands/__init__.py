"""Executes proposals, decisions, deliveries and deadlines in SQL, without any LangGraph graph.

`execution/` executes proposals, `approvals/` requests and records decisions, `waits/` ends waits, and `running/` has
their common base. Open `execution/commands.py` first.
"""
