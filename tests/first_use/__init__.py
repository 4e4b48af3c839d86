"""What a newcomer does wrong first, each with what Interlock answers: the cause, and what to do."""
