"""Small SQL helpers that several modules share."""
