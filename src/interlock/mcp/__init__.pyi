"""The public names of `interlock.mcp`, read by type checkers and by the lazy loader alike."""

# Tools of MCP servers
from .client.targets import from_environment as from_environment
from .client.tools import MCPTools as MCPTools
from .sdk import require_sdk as require_sdk
from .server.approval_server import ApprovalServer as ApprovalServer
from .server.identity import Caller as Caller
from .server.identity import ClaimNames as ClaimNames
from .server.limits import ServerLimits as ServerLimits
from .server.material import ServedPrompt as ServedPrompt
from .server.material import ServedResource as ServedResource
from .server.tokens import JWTVerifier as JWTVerifier

# Workflows served to MCP clients
from .server.workflow_server import WorkflowServer as WorkflowServer
