"""Delegations: who decides for whom during an absence."""
