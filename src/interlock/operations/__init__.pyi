"""The public names of `interlock.operations`, read by type checkers and by the lazy loader alike."""

from .deliveries import Deliveries as Deliveries
from .deliveries import Ticked as Ticked
from .event_service import EventService as EventService
from .instances import Instances as Instances
