"""How a wait ends in SQL: by an event that is delivered, or by its deadline.

Open `settling.py` first.
"""
