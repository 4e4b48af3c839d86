"""Stories of workflows, and everything that is said and written down of them, whole: `golden/` has it as JSON.

The audit record, the answers and the rows are read by people and by other programs, so each key and each sentence counts. Where one is meant to
change, `python -m tests.commands.records` writes the files anew, and the difference is what to review.
"""
