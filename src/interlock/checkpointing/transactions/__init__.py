"""The transactions of the workflow store: held after a restored backup, and looked up where the answer to a COMMIT was lost.

Open `transactions.py` first. What one transaction changes about an instance is in `store/unit.py`.
"""
