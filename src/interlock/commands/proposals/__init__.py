"""Proposals from outside the graph, by any program, model or person: started, proposed, looked up, withdrawn, and carried out when granted.

Open `proposing.py` first.
"""
