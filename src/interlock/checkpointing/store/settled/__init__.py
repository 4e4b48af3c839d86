"""What is settled and waits for its graph to continue: where that is so, and who has taken it up.

Not here: resuming the graph, which `operations.resuming` does. Open `stops.py` first.
"""
