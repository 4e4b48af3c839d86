"""The lock file: the reviewed definitions of a server's tools, and their later changes in words.

Nothing here connects to a server. Open `definitions.py` first.
"""
