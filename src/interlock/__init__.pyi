"""The public names of Interlock: the one list of them, read by type checkers and by the lazy loader alike."""

from ._version import __version__ as __version__

# Build a workflow
from .graphs import Workflow as Workflow
from .graphs import WorkflowGraph as WorkflowGraph
from .rules import Limits as Limits
from .rules import Mode as Mode
from .rules import GuardView as GuardView
from .nodes import DecisionView as DecisionView

# Contracts of tools
from .tools import read as read
from .tools import command as command
from .tools import event as event
from .tools import contract_from_schema as contract_from_schema
from .tools import ToolContract as ToolContract
from .tools.contracts import Undo as Undo
from .tools.contracts import CompletedCall as CompletedCall
from .tools import ToolContext as ToolContext
from .tools import ToolRegistry as ToolRegistry
from .tools import Effect as Effect
from .tools import RetryPolicy as RetryPolicy
from .tools import Event as Event
from .tools import EventEnvelope as EventEnvelope

# Approvals and policies
from .tools.approvals import Approval as Approval
from .rules.ordering import After as After
from .tools.approvals import Chat as Chat
from .tools.approvals import RoleHolders as RoleHolders
from .tools.schemas.from_application import FromApplication as FromApplication
from .tools.schemas.from_decision import FromDecision as FromDecision
from .tools.approvals import Confirmation as Confirmation
from .tools.approvals import Escalate as Escalate
from .tools.approvals import TakeEdge as TakeEdge
from .tools.approvals import Decision as Decision
from .tools.approvals import DecisionKind as DecisionKind
from .rules import Policy as Policy
from .rules import ProposalView as ProposalView
from .rules import Allow as Allow
from .rules import Deny as Deny
from .rules import RequireApproval as RequireApproval
from .rules import RequireRole as RequireRole
from .rules import LimitPerRun as LimitPerRun
from .rules import LimitPerPeriod as LimitPerPeriod
from .rules import SpendingCap as SpendingCap
from .rules import WorkingHours as WorkingHours
from .rules import Per as Per
from .rules.budgets.budget import Budget as Budget
from .rules.budgets.budget import BudgetPer as BudgetPer
from .rules.budgets.budget import Price as Price
from .rules import next_allowed_tools as next_allowed_tools

# Keep it in SQL
from .checkpointing import SQLCheckpointer as SQLCheckpointer
from .checkpointing import WorkflowStore as WorkflowStore
from .checkpointing import Database as Database
from .checkpointing import Capacity as Capacity

# Run, look and act
from .tools import Principal as Principal
from .tools import InstanceSnapshot as InstanceSnapshot
from .tools.explanation import Explanation as Explanation
from .operations.cancelling import Cancellation as Cancellation
from .tools import CommandResult as CommandResult
from .tools import ReadResult as ReadResult
from .tools import ErrorResult as ErrorResult
from .tools import ErrorCode as ErrorCode
from .tools import Answered as Answered
from .tools import Pending as Pending
from .tools import parse_result as parse_result
from .operations import Instances as Instances

# Events
from .operations import EventService as EventService
from .events import Relay as Relay
from .events import InProcessBus as InProcessBus
from .events import reply as reply
from .delivering import deliver as deliver
from .delivering import adeliver as adeliver
from .commands.waits.delivery import Delivery as Delivery
from .commands.waits.delivery import DeliveryStatus as DeliveryStatus

# Streams
from .nodes import StreamEvent as StreamEvent
from .nodes import TransitionEvent as TransitionEvent
from .nodes import ReadEvent as ReadEvent
from .nodes import ApprovalEvent as ApprovalEvent
from .nodes import DenialEvent as DenialEvent
from .nodes import parse_event as parse_event

# Errors
from .tools import InterlockError as InterlockError
from .tools import ConflictError as ConflictError
from .tools import Refused as Refused
