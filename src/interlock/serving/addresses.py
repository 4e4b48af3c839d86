"""Escapes untrusted names for addresses and headers."""

from urllib.parse import quote


def part(name: str) -> str:
    """Escape a name as one part of a path."""
    return quote(name, safe="")


def attachment(name: str) -> dict[str, str]:
    """The header that makes browsers save an answer under this file name (RFC 6266)."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{part(name)}"}


__all__ = ["attachment", "part"]
