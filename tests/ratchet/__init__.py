"""What a step costs in SQL, counted and recorded, so that a change of it is a decision and not an accident."""
