"""What the API and the console look up for a caller, whatever the number of instances: lists, finding, open approvals, figures.

Each looks at a bounded number of rows, or remembers what it counted. Not here: the SQL of reports (`checkpointing.reports`). Open `listing.py` first.
"""
