"""The middleware for LangChain's `create_agent`: a workflow's gate, approvals, ledger and record in front of an agent's tools.

Open `middleware.py` first.
"""
