"""Taking a URL apart. Python's own function raises a ValueError for some that are none, such as `http://[`, and for a port only when it is read."""

from urllib.parse import SplitResult, urlsplit

from ..errors import InputError


def parts_of(url: str, what: str) -> SplitResult:
    """The parts of a URL.

    Args:
        url: The URL.
        what: What it is, for the error: `The URL of the broker`.

    Raises:
        InputError: It is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        # Without the URL: it may hold a password.
        raise InputError(f"{what} is not a URL ({error}). Nothing was done; correct it.", code="settings") from None
    return parts


__all__ = ["parts_of"]
