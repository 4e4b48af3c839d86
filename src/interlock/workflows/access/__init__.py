"""The access desk: a person requests access to a system, their manager grants it for 7 or 90 days, and it ends automatically.

graph = access_workflow(model).compile(checkpointer=SQLCheckpointer("sqlite:///access.db"))
open_access(graph.engine.store)  # the tables of people and grants, with a few people
graph.invoke({"messages": [("user", "I need the ledger")], "data": {"person": "ann"}}, config, context=Principal("ann"))
"""

from .tables import access_of, create_tables, load_sample_people, open_access
from .tools import AccessData, PersonLeft
from .workflow import CLOSED, ENDING, GRANTED, OPEN, access_workflow

__all__ = [
    "CLOSED",
    "ENDING",
    "GRANTED",
    "OPEN",
    "AccessData",
    "PersonLeft",
    "access_of",
    "access_workflow",
    "create_tables",
    "load_sample_people",
    "open_access",
]
