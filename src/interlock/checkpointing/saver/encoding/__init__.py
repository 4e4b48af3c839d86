"""Encodes a checkpoint as rows: separates messages, packs values, seals bodies.

Open `separation.py` first.
"""
