"""Settled stops whose graphs have not resumed: which they are, and who has claimed them.

Not here: resuming the graph, which `operations.resuming` does. Open `stops.py` first.
"""
