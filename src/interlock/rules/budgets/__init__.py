"""Budgets: how many tokens, or how much money, models may use. Pure decisions over plain data.

Open `budget.py` first. Not here: reserving and settling in SQL, which `commands/budgets` does.
"""
