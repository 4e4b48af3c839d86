"""Budgets of models: reserved, settled, spent and raised."""
