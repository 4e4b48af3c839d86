"""The lock file: the definitions of a server's tools as somebody reviewed them, and what has changed since, in words.

Nothing here connects to a server. Open `definitions.py` first.
"""
