"""Lists checkpoints: pages, filters on metadata like those of each database's LangGraph saver, and indexes for them.

Not here: the newest checkpoint of a thread, from which a run continues (`reading`). Open `listing.py` first.
"""
