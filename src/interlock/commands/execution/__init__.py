"""How a proposal that passed the gate is carried out, recorded and answered; one file per way of doing it.

Open `commands.py` first: it is the entrance, and chooses between transactional, outside and read.
"""
