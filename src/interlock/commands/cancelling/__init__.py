"""Cancels an instance: closes open requests and waits, undoes completed calls, and reports calls left for a person.

Open `requesting.py` first. Not here: who may cancel, which `rules/cancelling` decides; and the execution of commands.
"""
