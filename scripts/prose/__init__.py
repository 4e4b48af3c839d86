"""Checks the project's prose against a word list: `python -m scripts.prose`, which `make lint` runs."""
