"""Removes workflow instances: erases them with their thread, or retires finished ones that are old enough.

Open `rows.py` first: it lists the rows of an instance. `saver/keeping` removes threads and checkpoints alone.
"""
