"""JSON as it stands in the columns of the workflow's tables."""

import json

write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Writes plain JSON data. (`json.dumps` would make an encoder for each value.)"""
read_json = json.loads
"""Reads it."""
