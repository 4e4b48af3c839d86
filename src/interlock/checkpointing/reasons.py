"""A person's reason for an act, as it is recorded: one rule for everything that takes one."""

from ..tools.errors import InputError
from ..tools.storable import why_not_storable

LONGEST_REASON = 2000
"""Characters."""


def checked_reason(reason: object, what: str, *, otherwise: str) -> str:
    """A reason that can be recorded, without spaces around it.

    Args:
        reason: What was given.
        what: What it is in messages, such as `"The reason for a cancel"`.
        otherwise: The sentence that says what did not happen, such as `"Nothing was cancelled."`.

    Raises:
        InputError: It is not a text, is empty or too long, or cannot be stored. Its code is `no_reason`.
    """
    text = reason.strip() if isinstance(reason, str) else ""
    if not 0 < len(text) <= LONGEST_REASON:
        problem = f"must be text of 1 to {LONGEST_REASON} characters, which is recorded"
    elif (unkept := why_not_storable(text)) is not None:
        problem = f"cannot be recorded: {unkept}"
    else:
        return text
    raise InputError(f"{what} {problem}. {otherwise}", code="no_reason")


def optional_reason(reason: object, what: str, *, otherwise: str) -> str | None:
    """As `checked_reason`, where an act needs none: None, or text without a character, is none."""
    is_none = reason is None or (isinstance(reason, str) and not reason.strip())
    return None if is_none else checked_reason(reason, what, otherwise=otherwise)


__all__ = ["LONGEST_REASON", "checked_reason", "optional_reason"]
