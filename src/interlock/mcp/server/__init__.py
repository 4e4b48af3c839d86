"""Workflows offered to MCP clients. Nothing here calls other servers."""
