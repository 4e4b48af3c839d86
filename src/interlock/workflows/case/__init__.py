"""The case workflow: a case is assigned to a queue of agents, watched, reassigned with a supervisor's approval, and closed.

graph = case_workflow(model).compile(checkpointer=SQLCheckpointer("sqlite:///cases.db"))
open_cases(graph.engine.store)  # three queues and two cases, unless there are some already
graph.invoke({"messages": [("user", "Case 77 goes to billing")]}, config)
"""

from .tables import create_tables, load_sample_cases
from .tools import Assignment, Case, CaseAssigned, CaseClosed, CaseData, QueueStatus
from .workflow import CLOSED, MOST_REASSIGNMENTS, QUEUED, VALIDATED, case_workflow, open_cases

__all__ = [
    "CLOSED",
    "MOST_REASSIGNMENTS",
    "QUEUED",
    "VALIDATED",
    "Assignment",
    "Case",
    "CaseAssigned",
    "CaseClosed",
    "CaseData",
    "QueueStatus",
    "case_workflow",
    "create_tables",
    "load_sample_cases",
    "open_cases",
]
