"""Ready-made workflows that use only the public API: the retail desk, the case desk, the engagement desk and the access desk.

Open `retail/workflow.py` first.
"""
