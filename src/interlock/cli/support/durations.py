"""Durations as options of commands: `10s`, `1h30m`, `7d`."""

from ...tools.approvals import duration
from ...tools.errors import ContractError, InputError


def seconds_of(option: str, text: str) -> float:
    """Parse an option's duration to seconds.

    Args:
        option: The option, for the message.
        text: Its value.

    Raises:
        InputError: It is no duration.
    """
    try:
        return duration(text)
    except ContractError as error:
        said = error.message.replace(", or give a timedelta", "")  # which nobody can on a command line
        raise InputError(f"{option}: {said} Nothing was done.", code="usage") from None


__all__ = ["seconds_of"]
