"""Loggers that escape quoted text, so that it starts no line and no control sequence, and that mask the caller's secrets."""

import logging
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from typing_extensions import override

from ..redaction import Secrets
from ._visible import text_of, visible

SECRETS = "interlock_secrets"
"""The attribute of a log record with the values to mask: ``logger.error(..., extra=hiding(values))``."""


def log_text(value: object) -> str:
    """Text for a log: always one line."""
    return visible(value, lines=False)


def hiding(secrets: Secrets) -> Mapping[str, Any]:
    """For `extra=` of a logging call: masks these values in its text and its traceback."""
    return {SECRETS: secrets}


def logger_of(name: str) -> logging.Logger:
    """The logger of this name, with escaped output. Use it instead of `logging.getLogger`."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, _Cleaning) for one in logger.filters):
        logger.addFilter(_Cleaning())
    return logger


class _Cleaning(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        secrets: Secrets = record.__dict__.pop(SECRETS, None) or Secrets()
        record.args = _cleaned(record.args, secrets)
        if record.exc_info is not None and record.exc_info[0] is not None:
            written = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            shown = visible(secrets.text(written))
            record.exc_text = shown
            if shown != written:
                # Handlers that format the traceback themselves would write the unescaped text.
                record.exc_info = None
        return True


def _cleaned(args: Any, secrets: Secrets) -> Any:
    if isinstance(args, Mapping):
        return {name: _one(value, secrets) for name, value in args.items()}
    if isinstance(args, Collection):
        return tuple(_one(value, secrets) for value in args)
    return args


def _one(value: object, secrets: Secrets) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return log_text(secrets.text(text_of(value)))


__all__ = ["hiding", "log_text", "logger_of"]
