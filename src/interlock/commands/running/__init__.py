"""What every command runs on: the engine of a compiled workflow, its operations, and the two drivers (sync and async).

Open `operations.py` first: bodies are generators that yield operations, and `driver.py` performs them.
"""
