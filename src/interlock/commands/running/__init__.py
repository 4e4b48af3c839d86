"""The base of all commands: the engine of a compiled workflow, operations, and the two drivers (sync and async).

Open `operations.py` first: bodies are generators that yield operations, and `driver.py` executes them.
"""
