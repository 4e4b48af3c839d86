"""What is kept of threads and what goes: retention by age and by count, and which checkpoints others are rebuilt from.

Not here: deleting one thread (`threads`) or the messages of a conversation (`conversation`). Open `retention.py` first.
"""
