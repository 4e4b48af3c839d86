"""The workflow builder, its checks, the compiler, the compiled graph, and the middleware for `create_agent`.

Open `workflow.py` first: users write workflows with it.
"""

from .compiled import WorkflowGraph
from .workflow import Workflow

__all__ = ["Workflow", "WorkflowGraph"]
