"""Commands that act on an instance without a decision: cancelling it, and raising its budgets.

Open `cancelling.py` first. Not here: approvals, attempts of unknown outcome, and what a tick continues.
"""
