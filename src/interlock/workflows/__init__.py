"""Ready-made workflows, written against the public face only: the retail desk, the case desk and the engagement desk.

Open `retail/workflow.py` first.
"""
