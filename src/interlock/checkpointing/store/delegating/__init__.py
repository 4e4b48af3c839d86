"""Who decides for whom while they are away."""
