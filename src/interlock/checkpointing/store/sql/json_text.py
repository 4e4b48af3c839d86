"""Reads and writes JSON in the columns of the workflow's tables."""

import json
from typing import Any

from ....tools.canonical import json_writer
from ....tools.errors import StoreError
from ...vault import MARK

write_json = json_writer(ensure_ascii=False, separators=(",", ":"))
"""Writes plain JSON data. (`json.dumps` would create an encoder for each value.)"""


def read_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        StoreError: It is encrypted, and no key was given.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        if not text.startswith(MARK):
            raise
        raise StoreError(
            f"A row of the workflow store is encrypted with the key {text.split(':')[1]!r}, and this store has no key. Nothing was loaded. "
            "Give it: SQLCheckpointer(…, encryption=Encryption(…)), WorkflowStore(…, encryption=…), or INTERLOCK_ENCRYPTION_KEYS on the "
            "command line.",
            code="unknown_key",
        ) from error
