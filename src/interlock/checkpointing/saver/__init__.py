"""What the checkpointer is made of: codec, separation, memory of conversations, statements, commits."""
