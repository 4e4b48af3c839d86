"""Mutation testing of the core: does a test notice when a line of it goes wrong?

`make mutants` changes one thing of one file at a time, runs the tests that pass through that line, and prints what they did not
notice. `survivors.md` beside this file lists the survivors that are equivalent or harmless, each with its reason. Start at
`__main__.py`; `making.py` makes the mutants with mutmut's operators, `warm.py` runs them, `swapping.py` puts one in place.
"""
