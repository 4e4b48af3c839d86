"""Parses LangSmith's ingest protocol, as clients send it: multipart or batch, plain or compressed, into runs and feedback."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..tools.errors import InvalidInput

Operation = tuple[str, str, dict[str, Any]]
"""The operation (`post`, `patch`, `feedback`), the id, and the fields."""

_PARTS = frozenset({"inputs", "outputs", "events", "extra", "error", "serialized"})


def decoded(body: bytes, encoding: str | None) -> bytes:
    """Decompress a body.

    Args:
        encoding: The header `Content-Encoding`.

    Raises:
        InvalidInput: No LangSmith client uses this compression.
    """
    match (encoding or "identity").strip().lower():
        case "identity" | "":
            return body
        case "zstd":
            import zstandard  # noqa: PLC0415 -- comes with langsmith, and only a client that compresses needs it

            with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                return reader.read()
        case "gzip":
            import gzip  # noqa: PLC0415

            return gzip.decompress(body)
        case other:
            raise InvalidInput(
                f"The body is encoded as {other!r}. Nothing was taken in; send it plain, as zstd or gzip."
            )


def multipart(body: bytes, content_type: str) -> Iterator[Operation]:
    """Read a body of `POST /runs/multipart`: parts named `post.<id>`, `patch.<id>`, `<op>.<id>.<field>`, `feedback.<id>`.

    Raises:
        InvalidInput: It is not a multipart body.
    """
    boundary = _boundary(content_type)
    whole: dict[tuple[str, str], dict[str, Any]] = {}
    for part in body.split(b"--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        head, separator, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not separator:
            raise InvalidInput("A part of the body has no headers. Nothing was taken in.")
        name = _name(head.decode("utf-8", "replace"))
        pieces = name.split(".")
        if len(pieces) < 2 or pieces[0] not in {"post", "patch", "feedback"}:
            continue  # attachments, and parts of later clients
        fields = whole.setdefault((pieces[0], pieces[1]), {"id": pieces[1]})
        content = content.removesuffix(b"\r\n")
        if len(pieces) == 2:
            fields.update(_object(content, name))
        elif pieces[2] in _PARTS:
            fields[pieces[2]] = _value(content, name)
    for (operation, about), fields in whole.items():
        yield operation, about, fields


def batch(body: bytes) -> Iterator[Operation]:
    """Read a body of `POST /runs/batch`."""
    sent = _object(body, "the body")
    for operation in ("post", "patch"):
        for fields in sent.get(operation) or []:
            yield operation, str(fields["id"]), fields


def single(operation: str, body: bytes, about: str | None = None) -> Operation:
    """Read one run or one feedback from a single request."""
    fields = _object(body, "the body")
    return operation, str(about or fields.get("id")), fields


def _boundary(content_type: str) -> bytes:
    for piece in content_type.split(";")[1:]:
        key, _, value = piece.strip().partition("=")
        if key.lower() == "boundary" and value:
            return value.strip('"').encode()
    raise InvalidInput(f"The content type {content_type!r} names no boundary. Nothing was taken in.")


def _name(head: str) -> str:
    for line in head.split("\r\n"):
        if line.lower().startswith("content-disposition:"):
            for piece in line.split(";")[1:]:
                key, _, value = piece.strip().partition("=")
                if key.lower() == "name":
                    return value.strip('"')
    raise InvalidInput("A part of the body has no name. Nothing was taken in.")


def _value(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}. Nothing was taken in.") from None


def _object(content: bytes, what: str) -> dict[str, Any]:
    value = _value(content, what)
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} is not a JSON object. Nothing was accepted.")
    return dict(value)
