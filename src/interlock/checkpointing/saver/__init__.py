"""The parts of the checkpointer: codec, separation of messages, cache of conversations, statements, commits."""
