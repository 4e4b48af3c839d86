"""Budgets of models: reserved before each call, settled after it, and raised by anyone who may.

Open `spending.py` first. Not here: what a budget is, which `rules/budgets` says.
"""
