"""Looking for checkpoints: pages of a listing, filters on metadata as each database's LangGraph saver has them, and indexes for those.

Not here: the newest checkpoint of a thread, which a run continues from (`reading`). Open `listing.py` first.
"""
