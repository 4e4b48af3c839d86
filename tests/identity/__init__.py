"""Who acts, and what is believed: forged values in everything that a client or a writer of checkpoints can write."""
