"""Budgets of models: reserve before each call, settle afterwards, and raise on request.

Open `spending.py` first. Not here: the definition of a budget, which is in `rules/budgets`.
"""
