"""The workflow builder, the compiled graph, and the ready-made workflows."""

from .compiled import WorkflowGraph
from .instances import Instances
from .workflow import Workflow

__all__ = ["Instances", "Workflow", "WorkflowGraph"]
