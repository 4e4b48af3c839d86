"""The retention of threads and checkpoints by age and count, and the checkpoints from which others are rebuilt.

Not here: deleting one thread (`threads`) or the messages of a conversation (`conversation`). Open `retention.py` first.
"""
