"""What models used of their budgets, in SQL. Open `budgets.py`."""
