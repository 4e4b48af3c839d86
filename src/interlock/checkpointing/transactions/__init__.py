"""The transactions of the workflow store: refused after the restore of a backup, and looked up if the answer to a COMMIT was lost.

Open `transactions.py` first. `store/unit.py` has the changes of one transaction to an instance.
"""
