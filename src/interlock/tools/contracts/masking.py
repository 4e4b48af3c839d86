"""Masks sensitive values in errors about the arguments of a call."""

from collections.abc import Collection

from ..errors import InvalidArguments
from ..redaction import Secrets
from ..storable import storable


def masked_error(error: InvalidArguments, arguments: object, sensitive: Collection[str]) -> InvalidArguments:
    """Mask the values of sensitive fields, which a validator may quote; returns the same error if it quotes none.

    Args:
        error: The error.
        arguments: The arguments of the call, of any type.
        sensitive: The wire names of the sensitive fields.
    """
    secrets = Secrets()
    secrets.learn_from(storable(arguments), sensitive)
    message, details = secrets.text(error.message), secrets.value(error.details)
    if (message, details) == (error.message, error.details):
        return error
    return InvalidArguments(
        message, tool=error.tool, problems=details.pop("problems"), code=error.code, details=details
    )


__all__ = ["masked_error"]
