"""The schema of a tool's arguments as contracts print it and models are offered it. Open `schema.py` first."""
