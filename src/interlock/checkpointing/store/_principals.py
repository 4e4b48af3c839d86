"""Principals as they stand in the workflow's tables."""

import functools

from ...tools.principal import Principal
from ._json import read_json


def read_principal(text: str) -> Principal:
    """Read a principal from the JSON of its fields."""
    return _plain(text) if text.endswith('"attributes":{}}') else Principal.from_json(read_json(text))


@functools.lru_cache(maxsize=1024)
def _plain(text: str) -> Principal:
    # The same few again and again. Those with attributes are read anew, for attributes are dicts, which are not to be shared.
    return Principal.from_json(read_json(text))
