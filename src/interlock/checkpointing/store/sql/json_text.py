"""Reads and writes JSON in the columns of the workflow's tables."""

import json
from typing import Any

from ....tools.canonical import json_writer
from ....tools.errors import StoreError
from ...vault import MARK

write_json = json_writer(ensure_ascii=False, separators=(",", ":"))
"""Writes plain JSON data. (`json.dumps` would create an encoder for each value.)"""


_begins_with = json.JSONDecoder().raw_decode


def _parsed(text: str) -> Any:
    """As `json.loads`, which looks at its options and for white space around the value first: our own texts have none."""
    try:
        value, end = _begins_with(text)
    except ValueError:
        end = -1
    return value if end == len(text) else json.loads(text)


def read_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        StoreError: It is encrypted, and no key was given.
    """
    try:
        return _parsed(text)
    except ValueError as error:
        if not text.startswith(MARK):
            raise
        raise StoreError(
            f"A row of the workflow store is encrypted with the key {text.split(':')[1]!r}, and this store has no key. Nothing was loaded. "
            "Give it: SQLCheckpointer(…, encryption=Encryption(…)), WorkflowStore(…, encryption=…), or INTERLOCK_ENCRYPTION_KEYS on the "
            "command line.",
            code="unknown_key",
        ) from error
