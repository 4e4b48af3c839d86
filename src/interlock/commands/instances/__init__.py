"""Whole instances: their start, their line of history, and their migration to a new version of the workflow.

Open `starting.py` first.
"""
