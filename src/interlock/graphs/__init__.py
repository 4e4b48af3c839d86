"""The workflow builder, its checks, the compiler, the compiled graph, and the middleware for `create_agent`.

Open `workflow.py` first: it is what users write.
"""

from .compiled import WorkflowGraph
from .workflow import Workflow

__all__ = ["Workflow", "WorkflowGraph"]
