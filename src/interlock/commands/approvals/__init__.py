"""Approvals in SQL: what a request binds and shows, how a decision is taken, and what a deadline does.

Open `decisions.py` first.
"""
