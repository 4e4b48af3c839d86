"""What is counted up from the tables for people to look at: how large they are, and how approvals were decided."""
