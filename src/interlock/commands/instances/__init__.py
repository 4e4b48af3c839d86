"""An instance as a whole: how it begins, which line of history it is on, and how a new version of its workflow takes it over.

Open `starting.py` first.
"""
