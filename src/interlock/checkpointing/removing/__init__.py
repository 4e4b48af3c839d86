"""Workflow instances that go: erased with their thread, or retired when they are finished and old enough.

Open `rows.py` first: which rows belong to an instance. Threads and checkpoints alone go elsewhere (`saver/keeping`).
"""
