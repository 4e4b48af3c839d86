"""The schema of a tool's arguments in contracts and for models. Open `schema.py` first."""
