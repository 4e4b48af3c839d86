"""The tracing package: what a trace tells of a workflow, and the way from a trace to the audit record and back.

Set `LANGSMITH_TRACING=true` and a workflow's runs say their state; give OpenTelemetry a provider and there are spans and
metrics. Tracing watches and never decides: off, unsampled, slow or broken, a workflow does the same.

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
