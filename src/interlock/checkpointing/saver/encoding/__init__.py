"""How a checkpoint becomes rows: messages apart from the rest, values packed, bodies sealed.

Open `separation.py` first.
"""
