"""Acting on workflow instances from outside the graph: looking, deciding, delivering events, keeping deadlines, stepping.

Open `instances.py` first.
"""

from .deliveries import Deliveries, Ticked
from .event_service import EventService
from .instances import Instances

__all__ = ["Deliveries", "EventService", "Instances", "Ticked"]
