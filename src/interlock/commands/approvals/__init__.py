"""Approvals in SQL: the binding and content of a request, decisions, and deadlines.

Open `decisions.py` first.
"""
