"""Commands under kill -9, stopped processes, lost databases and races."""
