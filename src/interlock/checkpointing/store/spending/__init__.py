"""The usage of model budgets, in SQL. Open `budgets.py`."""
