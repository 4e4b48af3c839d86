"""Logs and traces a failed rule with its error; callers and models see only the name of the rule."""

import traceback
from collections import OrderedDict
from typing import Protocol

from ...tools.errors import RuleError
from ...tools.redaction import Secrets
from ...tools.sinks import hiding, logger_of
from ...tracing.watch import note

logger = logger_of("interlock")


class Asked(Protocol):
    """The subject of a rule: an instance or its view."""

    @property
    def workflow_id(self) -> str:
        """The id of the instance."""

    @property
    def state(self) -> str:
        """The state of the instance."""

    @property
    def revision(self) -> int:
        """The revision of the instance."""


_REMEMBERED = 1024
_told: "OrderedDict[tuple[object, ...], None]" = OrderedDict()


def report(error: RuleError, asked: Asked, secrets: Secrets | None = None) -> None:
    """Log and trace a failed rule.

    Args:
        error: The error, whose cause is the exception of the rule, if it raised one.
        asked: The subject of the rule.
        secrets: The values to mask in the log and the trace.
    """
    cause = error.__cause__
    secrets = secrets or Secrets()
    logger.error(
        "%s; nothing was done, and %s stays in %r",
        error.message,
        asked.workflow_id,
        asked.state,
        exc_info=cause,
        extra=hiding(secrets),
    )
    note(rule=error.rule, rule_error=secrets.text("".join(traceback.format_exception(cause or error)))[-_LONGEST:])


def report_once(error: RuleError, asked: Asked) -> None:
    """As `report`, but only once per rule, state and revision, because the offered tools are computed very often."""
    key = (error.rule, type(error.__cause__), asked.workflow_id, asked.revision)
    if key in _told:
        return
    _told[key] = None
    while len(_told) > _REMEMBERED:
        _told.popitem(last=False)
    report(error, asked)


_LONGEST = 8_000
"""The maximum length of a traceback in a trace."""

__all__ = ["report", "report_once"]
