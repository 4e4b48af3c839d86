"""Cancelling an instance, and undoing what was carried out."""
