"""Ends waits in SQL: by a delivered event, or by their deadline.

Open `settling.py` first.
"""
