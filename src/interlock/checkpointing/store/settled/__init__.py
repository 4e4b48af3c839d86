"""What is settled and waits for its graph to go on: where that is so, and who has taken it up.

Not here: letting the graph go on, which `operations.resuming` does. Open `stops.py` first.
"""
