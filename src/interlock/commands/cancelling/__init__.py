"""Cancelling an instance: closing what is open, undoing what was carried out, and saying what is left for a person.

Open `requesting.py` first. Not here: who may cancel, which `rules/cancelling` decides; and how a command is carried out.
"""
