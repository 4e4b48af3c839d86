"""Names of others as parts of an address or of a header."""

from urllib.parse import quote


def part(name: str) -> str:
    """One part of a path, whatever the name holds."""
    return quote(name, safe="")


def attachment(name: str) -> dict[str, str]:
    """The header that saves an answer as a file of this name (RFC 6266)."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{part(name)}"}


__all__ = ["attachment", "part"]
