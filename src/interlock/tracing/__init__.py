"""The tracing package: adds the workflow's state to traces, and links traces with audit records in both directions.

Set `LANGSMITH_TRACING=true`, and the traces of a workflow show its states. Set an OpenTelemetry provider, and there are spans and
metrics. Tracing never affects decisions: disabled, unsampled, slow or broken, the workflow does the same.

    from interlock.tracing import Outgoing, configure

    configure(Outgoing(sensitive=["iban"], conversation=False))
"""

from .examples import JudgedProposal, judged_proposals
from .feedback import FeedbackSender, FeedbackStatus, Sent
from .outgoing import Outgoing, configure, register_sensitive
from .reference import TraceReference
from .telemetry import use as use_opentelemetry
from .tracer import InterlockTracer
from .trail import last_reference, records_of, reference_in

__all__ = [
    "FeedbackSender",
    "FeedbackStatus",
    "InterlockTracer",
    "JudgedProposal",
    "Outgoing",
    "Sent",
    "TraceReference",
    "configure",
    "judged_proposals",
    "last_reference",
    "records_of",
    "reference_in",
    "register_sensitive",
    "use_opentelemetry",
]
