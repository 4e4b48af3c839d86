"""The checkpointer's own statements, one file per dialect; `statements.py` has what all databases share."""
