"""A mailbox whose assistant reads what anybody may write: a workflow that uses `TrustedOrigins`, and those who attack it."""
