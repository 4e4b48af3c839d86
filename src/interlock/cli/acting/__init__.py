"""What a person does to an instance from the command line, beside deciding: cancelling it, and raising its budgets.

Open `cancelling.py` first. Not here: approvals, attempts of unknown outcome, and what a tick continues.
"""
