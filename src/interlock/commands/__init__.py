"""What one proposal, decision, delivery or deadline does in SQL; knows no LangGraph graph.

`execution/` carries out proposals, `approvals/` asks for and takes decisions, `waits/` ends waits, and `running/` has
what all of them run on. Open `execution/commands.py` first.
"""
