"""Queries of the API and the console for a caller: lists, search, open approvals, figures.

Each reads a bounded number of rows, or caches its counts. Not here: the SQL of reports (`checkpointing.reports`). Open `listing.py` first.
"""
