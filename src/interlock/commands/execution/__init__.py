"""Executes, records and answers proposals that passed the gate; one file per kind of execution.

Open `commands.py` first: it chooses between transactional, outside and read.
"""
