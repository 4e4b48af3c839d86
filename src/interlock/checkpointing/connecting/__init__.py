"""Connects to a database: URLs, the application's own engines, and cursors on either.

Not here: the stored data and its statements. Open `urls` for URLs, `application` for the application's own engines.
"""
