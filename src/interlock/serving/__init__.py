"""One service for workflows: an HTTP API, a console for people, event streams, health and metrics.

`service(graphs, principal=...)` returns an ASGI application to mount or to serve; `interlock serve` runs it. Decisions and proposals
themselves are implemented in `operations` and `commands`. Open `service.py` first.
"""

from .identity import Development, Tokens
from .service import service

__all__ = ["Development", "Tokens", "service"]
