"""Errors about the arguments of a call, without what is sensitive in them."""

from collections.abc import Collection

from ..errors import InvalidArguments
from ..redaction import Secrets
from ..storable import storable


def masked_error(error: InvalidArguments, arguments: object, sensitive: Collection[str]) -> InvalidArguments:
    """The error without what was in sensitive fields, which a validator may quote; the same one where it quotes nothing.

    Args:
        error: The error.
        arguments: Of the call; they may be anything at all.
        sensitive: Names on the wire of sensitive fields.
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
