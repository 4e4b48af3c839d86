"""Proposals from outside the graph, by any program, model or person: start, propose, look up, withdraw, and execute when granted.

Open `proposing.py` first.
"""
