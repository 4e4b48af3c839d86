"""The workflow builder, the compiled graph, and the ready-made workflows."""

from .compiled import WorkflowGraph
from .deliveries import Deliveries, Ticked
from .event_service import EventService
from .instances import Instances
from .workflow import Workflow

__all__ = ["Deliveries", "EventService", "Instances", "Ticked", "Workflow", "WorkflowGraph"]
