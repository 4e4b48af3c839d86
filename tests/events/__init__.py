"""Events: out through the outbox, in through the inbox, and the waits that they end."""
