"""Public MCP servers from npm and PyPI, started for real: `make mcp` for all nine, and two of them in CI."""
